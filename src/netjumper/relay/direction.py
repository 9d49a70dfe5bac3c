"""One direction of a relay: moves bytes from its source to its sink.

Small traffic is copied through one buffer that all relays of a loop share. When a read fills the
buffer, the direction changes to `splice` through a kernel pipe, and bytes no longer enter the
interpreter; when reads get small again, it returns to copying. A direction holds a pipe only while
bytes are in it. So an idle tunnel has no buffer, no pipe and no timer, and a peer that does not
read costs at most one buffer or one pipe.
"""

import errno
from typing import Protocol

from netjumper.net.endpoint import WOULD_BLOCK, Endpoint
from netjumper.relay.splice import BUFFER_SIZE, PIPE_SIZE, Pipe, RelayMemory, splice

MIN_SPLICE_BYTES = 64 * 1024
"""Bytes; after a splice that moved fewer, the direction copies again."""


class DirectionOwner(Protocol):
    """The relay, as its two directions see it."""

    memory: RelayMemory
    can_splice: bool
    """Whether both ends can be spliced; a direction sets it to False if the kernel refuses."""

    def direction_ended(self) -> None:
        """One direction has delivered its end of stream."""

    def lost(self, endpoint: Endpoint) -> None:
        """`endpoint` was reset, and everything it sent before has been delivered."""

    def sink_lost(self, direction: "Direction") -> None:
        """Sending to the sink failed."""


class Direction:
    """Moves bytes from `source` to `sink`.

    Args:
        relay: the relay that it belongs to.
        source: the endpoint to read.
        sink: the endpoint to send to.
    """

    __slots__ = (
        "_bulk",
        "_in_pipe",
        "_pending",
        "_pipe",
        "_relay",
        "_source_ended",
        "acknowledged",
        "blocked",
        "ended",
        "ends_with_reset",
        "sink",
        "source",
        "transferred",
    )

    def __init__(self, relay: DirectionOwner, source: Endpoint, sink: Endpoint) -> None:
        self._relay = relay
        self.source = source
        self.sink = sink
        self.transferred = 0
        self.acknowledged = -1
        """The value of `transferred` when the sink's peer last had all of it."""
        self.blocked = False
        """The sink has no room, so the source is not read."""
        self.ended = False
        self.ends_with_reset = False
        """The source is lost: what it sent before is delivered, then the sink is reset."""
        self._source_ended = False
        self._pending: bytes | None = None
        self._bulk = False
        """The last read was large, so the next one splices."""
        self._pipe: Pipe | None = None
        self._in_pipe = 0

    def start(self, first: bytes, source_ended: bool) -> None:
        """Deliver `first`, which was read before the relay began, then read on."""
        self._source_ended = source_ended
        if first:
            self._send(memoryview(first))
        if not (self.ended or self.blocked):
            self._continue()

    @property
    def is_throttled(self) -> bool:
        """Whether it waits for its turn in a shared bandwidth, so that its source is not read."""
        return False

    def on_readable(self, limit: int = PIPE_SIZE) -> None:
        """Move at most `limit` bytes from the source, or its end of stream."""
        if self._bulk:
            self._splice_in(limit)
            return
        relay = self._relay
        buffer = relay.memory.buffer
        limit = min(limit, self.sink.max_send)  # what it does not take would have to be kept
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
            self._bulk = count >= MIN_SPLICE_BYTES and count == len(buffer) and relay.can_splice
        elif count == 0:
            self._on_source_end()

    def _on_writable(self) -> None:
        self.blocked = False
        pending = self._pending
        if pending is not None:
            self._pending = None
            self._send(memoryview(pending))
        elif self._pipe is not None:
            self._splice_out(self._pipe)
        if self.ended or self.blocked:
            return
        self.sink.stop_writing()
        self._continue()

    def _continue(self) -> None:
        """Read on, or end: everything that was read has been sent."""
        if self._source_ended:
            self._end()
        else:
            self.source.start_reading(self.on_readable)

    def _send(self, data: memoryview) -> None:
        try:
            sent = self.sink.send(data)
        except OSError:
            self._on_sink_lost()
            return
        if sent < len(data):
            self._pending = bytes(data[sent:])
            self._wait_for_room()
        elif self.sink.has_unsent:
            self._wait_for_room()

    def _splice_in(self, limit: int) -> None:
        pipe = self._pipe = self._relay.memory.acquire_pipe()
        self._bulk = False
        if pipe is None:
            return  # called again at once, and copies
        try:
            count = splice(self.source.fd, pipe.write_fd, limit)
        except WOULD_BLOCK:
            self._return_pipe()
            return
        except OSError as error:
            if error.errno == errno.EINVAL:  # a kernel that cannot splice these sockets
                self._relay.can_splice = False
                self._return_pipe()
                return
            self.ends_with_reset = True
            count = 0
        if not count:
            self._on_source_end()
            return
        self.transferred += count
        self._in_pipe = count
        self._bulk = count >= MIN_SPLICE_BYTES
        self._splice_out(pipe)

    def _splice_out(self, pipe: Pipe) -> None:
        while self._in_pipe:
            try:
                sent = splice(pipe.read_fd, self.sink.fd, self._in_pipe)
            except WOULD_BLOCK:
                self._wait_for_room()
                return
            except OSError:
                self._on_sink_lost()
                return
            self._in_pipe -= sent
        self._return_pipe()

    def _wait_for_room(self) -> None:
        self.blocked = True
        self.source.stop_reading()
        self.sink.start_writing(self._on_writable)

    def _on_source_end(self) -> None:
        self.source.stop_reading()
        self._source_ended = True
        self._end()

    def _end(self) -> None:
        """Pass the end of stream on, as the sink's kernel has everything that the source sent."""
        self.release()
        if self.ends_with_reset:
            self._relay.lost(self.source)
            return
        try:
            self.sink.shutdown_write()
        except OSError:
            self._on_sink_lost()
            return
        if self.sink.has_unsent:
            self.sink.start_writing(self._on_delivered)
        else:
            self._finish()

    def _on_delivered(self) -> None:
        """The sink's kernel has everything now, or the sink is lost."""
        self.sink.stop_writing()
        if self.sink.has_unsent:
            self._on_sink_lost()
        else:
            self._finish()

    def _finish(self) -> None:
        self.ended = True
        self._relay.direction_ended()

    def _on_sink_lost(self) -> None:
        self.release()
        self._pending = None
        self.source.stop_reading()
        self.sink.stop_writing()
        self.ended = True
        self._relay.sink_lost(self)

    def _return_pipe(self) -> None:
        if self._pipe is not None:
            self._relay.memory.return_pipe(self._pipe)
            self._pipe = None

    def detach(self) -> None:
        """Drop the reference to the finished relay: a cycle would keep the endpoints' buffers."""
        self.release()
        del self._relay

    def release(self) -> None:
        """Return the pipe; if bytes are in it, close it instead."""
        if self._in_pipe and self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            self._in_pipe = 0
        self._return_pipe()
