"""A direction of a relay that shares its bandwidth with other directions."""

from netjumper.net.endpoint import Endpoint
from netjumper.relay.bandwidth import Bandwidth
from netjumper.relay.direction import Direction, DirectionOwner
from netjumper.relay.splice import PIPE_SIZE


class ThrottledDirection(Direction):
    """Moves bytes from `source` to `sink` at the rate that its share of `bandwidth` allows.

    Its source is not read while it waits for its turn.
    """

    __slots__ = ("_bandwidth", "_first")

    def __init__(
        self, relay: DirectionOwner, source: Endpoint, sink: Endpoint, bandwidth: Bandwidth
    ) -> None:
        super().__init__(relay, source, sink)
        self._bandwidth = bandwidth
        self._first = memoryview(b"")
        """Bytes that were read before the relay began and are not sent yet."""

    @property
    def is_throttled(self) -> bool:
        return self in self._bandwidth

    def start(self, first: bytes, source_ended: bool) -> None:
        """Deliver `first`; it counts against the bandwidth if it came from the source."""
        if not self.transferred:
            super().start(first, source_ended)
            return
        self._bandwidth.spend(self.transferred - len(first))  # bytes that have left already
        self._first, self._source_ended = memoryview(first), source_ended
        self.source.stop_reading()  # the reader until now must not be called again
        self._continue()

    def on_readable(self, limit: int = PIPE_SIZE) -> None:
        """Move bytes if there is bandwidth, else wait for a turn; an end of stream need not."""
        allowed = self._bandwidth.allowance()
        if allowed:
            self._move(min(limit, allowed))
        elif self._source_at_eof():
            self._on_source_end()
        else:
            self.source.stop_reading()
            self._bandwidth.wait(self)

    def take_turn(self, limit: int) -> None:
        """Move at most `limit` bytes, first those that were read before the relay began."""
        if self._first:
            self._send_first(limit)
        else:
            self.source.start_reading(self.on_readable)
            self._move(limit)

    def release(self) -> None:
        """Return the pipe and leave the queue."""
        self._bandwidth.leave(self)
        super().release()

    def _continue(self) -> None:
        if not self._first:
            super()._continue()
        elif allowed := self._bandwidth.allowance():
            self._send_first(allowed)
        else:
            self._bandwidth.wait(self)

    def _send_first(self, limit: int) -> None:
        piece, self._first = self._first[:limit], self._first[limit:]
        self._bandwidth.spend(len(piece))
        self._send(piece)
        if not (self.ended or self.blocked):
            self._continue()

    def _move(self, limit: int) -> None:
        """Move at most `limit` bytes, in as many parts as the sink takes."""
        moved = self.sink.max_send
        while limit > 0 and moved == self.sink.max_send and not (self.blocked or self.ended):
            before = self.transferred
            super().on_readable(limit)
            moved = self.transferred - before
            self._bandwidth.spend(moved)
            limit -= moved

    def _source_at_eof(self) -> bool:
        try:
            return self.source.at_eof()
        except OSError:
            self.ends_with_reset = True
            return True
