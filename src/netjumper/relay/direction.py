"""One direction of a relay: what its source sends goes to its sink.

Small traffic is copied through one buffer that all relays of a loop share. When a read comes
back full, the direction moves on to `splice` through a kernel pipe, and bytes no longer enter
the interpreter; when reads come back small again it returns to copying. A pipe is a direction's
own only while bytes are in it. So an idle tunnel owns no buffer, no pipe and no timer, and a
peer that does not read costs at most what one buffer or one pipe holds.
"""

import errno
from typing import Protocol

from netjumper.net.endpoint import Endpoint
from netjumper.relay.splice import BUFFER_SIZE, PIPE_SIZE, Pipe, RelayMemory, splice

SPLICE_BELOW = 64 * 1024
"""A splice that moved fewer bytes than this was not worth its pipe."""

_WOULD_BLOCK = (BlockingIOError, InterruptedError)


class Directions(Protocol):
    """The relay, as each of its two directions sees it."""

    memory: RelayMemory
    splices: bool
    """Whether both ends can be spliced; a direction that finds out otherwise says so."""

    def direction_ended(self) -> None:
        """One direction is through."""

    def lost(self, endpoint: Endpoint) -> None:
        """`endpoint` was reset, and all it sent is delivered."""

    def sink_lost(self, direction: "Direction") -> None:
        """A send failed."""


class Direction:
    """One way through a tunnel: what `source` sends goes to `sink`."""

    __slots__ = (
        "_bulk",
        "_in_pipe",
        "_pending",
        "_pipe",
        "_relay",
        "_source_ended",
        "acknowledged",
        "ended",
        "ends_with_reset",
        "sink",
        "source",
        "transferred",
    )

    def __init__(self, relay: Directions, source: Endpoint, sink: Endpoint) -> None:
        self._relay = relay
        self.source = source
        self.sink = sink
        self.transferred = 0
        self.acknowledged = -1
        """What `transferred` was when all of it was last seen to have arrived at the sink."""
        self.ended = False
        self.ends_with_reset = False
        """The source is known to be lost: what it sent before is delivered, then a reset."""
        self._source_ended = False
        self._pending: bytes | None = None
        self._bulk = False
        """The last read was worth a pipe, so the next one splices."""
        self._pipe: Pipe | None = None
        self._in_pipe = 0

    @property
    def blocked(self) -> bool:
        return self._pending is not None or self._in_pipe > 0

    def start(self, first: bytes, source_ended: bool) -> None:
        """Deliver what was read before the relay began, then read on."""
        self._source_ended = source_ended
        if first:
            self._send(memoryview(first))
        if not (self.ended or self.blocked):
            self._go_on()

    @property
    def waits_its_turn(self) -> bool:
        """Whether its source's bytes are held back for others to have their share."""
        return False

    def on_readable(self, limit: int = PIPE_SIZE) -> None:
        """Move on at most `limit` bytes of what the source has sent, or its end."""
        if self._bulk:
            self._splice_in(limit)
            return
        relay = self._relay
        buffer = relay.memory.buffer
        if limit < BUFFER_SIZE:
            buffer = buffer[:limit]
        try:
            count = self.source.recv_into(buffer)
        except OSError:
            self.ends_with_reset = True
            count = 0
        if count:
            self.transferred += count
            self._send(buffer[:count])
            self._bulk = count >= SPLICE_BELOW and count == len(buffer) and relay.splices
        elif count == 0:
            self._source_is_over()

    def _on_writable(self) -> None:
        pending = self._pending
        if pending is not None:
            self._pending = None
            self._send(memoryview(pending))
        elif self._pipe is not None:
            self._splice_out(self._pipe)
        if self.ended or self.blocked:
            return
        self.sink.stop_writing()
        self._go_on()

    def _go_on(self) -> None:
        """All that was read has been moved on: see to what comes next."""
        if self._source_ended:
            self._end()
        else:
            self.source.start_reading(self.on_readable)

    def _send(self, data: memoryview) -> None:
        try:
            sent = self.sink.send(data)
        except OSError:
            self._sink_is_lost()
            return
        if sent < len(data):
            self._pending = bytes(data[sent:])
            self._wait_for_room()

    def _splice_in(self, limit: int) -> None:
        pipe = self._pipe = self._relay.memory.take_pipe()
        self._bulk = False
        if pipe is None:
            return  # called again at once, and copies
        try:
            count = splice(self.source.fd, pipe.write_fd, limit)
        except _WOULD_BLOCK:
            self._give_pipe_back()
            return
        except OSError as error:
            if error.errno == errno.EINVAL:  # a kernel that cannot splice these sockets
                self._relay.splices = False
                self._give_pipe_back()
                return
            self.ends_with_reset = True
            count = 0
        if not count:
            self._source_is_over()
            return
        self.transferred += count
        self._in_pipe = count
        self._bulk = count >= SPLICE_BELOW
        self._splice_out(pipe)

    def _splice_out(self, pipe: Pipe) -> None:
        while self._in_pipe:
            try:
                sent = splice(pipe.read_fd, self.sink.fd, self._in_pipe)
            except _WOULD_BLOCK:
                self._wait_for_room()
                return
            except OSError:
                self._sink_is_lost()
                return
            self._in_pipe -= sent
        self._give_pipe_back()

    def _wait_for_room(self) -> None:
        self.source.stop_reading()
        self.sink.start_writing(self._on_writable)

    def _source_is_over(self) -> None:
        self.source.stop_reading()
        self._source_ended = True
        self._end()

    def _end(self) -> None:
        """Everything the source sent is with the sink's kernel: pass the end on."""
        self.release()
        if self.ends_with_reset:
            self._relay.lost(self.source)
            return
        try:
            self.sink.shutdown_write()
        except OSError:
            self._sink_is_lost()
            return
        if self.sink.has_unsent:
            self.sink.start_writing(self._on_delivered)
        else:
            self._is_through()

    def _on_delivered(self) -> None:
        """All of it is with the sink's kernel now, or the sink is lost."""
        self.sink.stop_writing()
        if self.sink.has_unsent:
            self._sink_is_lost()
        else:
            self._is_through()

    def _is_through(self) -> None:
        self.ended = True
        self._relay.direction_ended()

    def _sink_is_lost(self) -> None:
        self.release()
        self._pending = None
        self.source.stop_reading()
        self.sink.stop_writing()
        self.ended = True
        self._relay.sink_lost(self)

    def _give_pipe_back(self) -> None:
        if self._pipe is not None:
            self._relay.memory.give_back(self._pipe)
            self._pipe = None

    def leave(self) -> None:
        """Let go of the relay, which is over: no cycle is to keep what its endpoints hold."""
        self.release()
        del self._relay

    def release(self) -> None:
        """Let go of the pipe, with whatever is in it."""
        if self._in_pipe and self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            self._in_pipe = 0
        self._give_pipe_back()
