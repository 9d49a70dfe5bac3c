"""A direction of a relay that shares its bandwidth with others."""

from netjumper.net.endpoint import Endpoint
from netjumper.relay.bandwidth import Bandwidth
from netjumper.relay.direction import Direction, Directions
from netjumper.relay.splice import PIPE_SIZE


class ThrottledDirection(Direction):
    """One way through a tunnel, at the pace that its share of `bandwidth` allows.

    While it waits for its turn its source is not read.
    """

    __slots__ = ("_bandwidth", "_first")

    def __init__(
        self, relay: Directions, source: Endpoint, sink: Endpoint, bandwidth: Bandwidth
    ) -> None:
        super().__init__(relay, source, sink)
        self._bandwidth = bandwidth
        self._first = memoryview(b"")
        """What is left of what was read before the relay began."""

    @property
    def waits_its_turn(self) -> bool:
        return self in self._bandwidth

    def start(self, first: bytes, source_ended: bool) -> None:
        """Deliver what was read before the relay began: what is the source's, in its turns."""
        if not self.transferred:
            super().start(first, source_ended)
            return
        self._bandwidth.spend(self.transferred - len(first))  # that has left already
        self._first, self._source_ended = memoryview(first), source_ended
        self.source.stop_reading()  # whoever has read it until now has nothing to do with it
        self._go_on()

    def on_readable(self, limit: int = PIPE_SIZE) -> None:
        """Move bytes on if that is allowed now, and wait otherwise; an end need not wait."""
        allowed = self._bandwidth.allowance()
        if allowed:
            self._move(min(limit, allowed))
        elif self._source_ends_next():
            self._source_is_over()
        else:
            self.source.stop_reading()
            self._bandwidth.wait(self)

    def take_turn(self, limit: int) -> None:
        """Move at most `limit` bytes on, first those that were read before the relay began."""
        if self._first:
            self._send_first(limit)
        else:
            self.source.start_reading(self.on_readable)
            self._move(limit)

    def release(self) -> None:
        """Let go of the pipe, and of the place in the queue."""
        self._bandwidth.leave(self)
        super().release()

    def _go_on(self) -> None:
        if not self._first:
            super()._go_on()
        elif allowed := self._bandwidth.allowance():
            self._send_first(allowed)
        else:
            self._bandwidth.wait(self)

    def _send_first(self, limit: int) -> None:
        piece, self._first = self._first[:limit], self._first[limit:]
        self._bandwidth.spend(len(piece))
        self._send(piece)
        if not (self.ended or self.blocked):
            self._go_on()

    def _move(self, limit: int) -> None:
        before = self.transferred
        super().on_readable(limit)
        self._bandwidth.spend(self.transferred - before)

    def _source_ends_next(self) -> bool:
        try:
            return self.source.at_eof()
        except OSError:
            self.ends_with_reset = True
            return True
