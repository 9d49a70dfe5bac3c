"""The relay: two endpoints piped to each other until both directions have ended.

Small traffic is copied through one buffer that all relays of a loop share. When a read comes
back full, the direction moves on to `splice` through a kernel pipe, and bytes no longer enter
the interpreter; when reads come back small again it gives the pipe back. So an idle tunnel
owns no buffer, no pipe and no timer, and a peer that does not read costs at most what one
buffer or one pipe holds.

Each direction ends on its own: an end of stream becomes a shutdown on the other side, after
what was read before it; a reset becomes a reset.
"""

import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import Callable
from enum import Enum

from netjumper.net.endpoint import Endpoint

if sys.platform == "linux":
    import fcntl

BUFFER_SIZE = 256 * 1024
PIPE_SIZE = 1024 * 1024
SPLICE_BELOW = 64 * 1024
"""A splice that moved fewer bytes than this was not worth its pipe."""
FREE_PIPES = 16
"""How many idle pipes are kept for the next bulk transfer."""

_WOULD_BLOCK = (BlockingIOError, InterruptedError)
_CAN_SPLICE = sys.platform == "linux"
if sys.platform == "linux":
    _SPLICE_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Ending(Enum):
    """How a relay ended."""

    CLOSED = "closed"
    CLIENT_RESET = "reset by the client"
    TARGET_RESET = "reset by the target"
    IDLE = "idle for too long"
    SHUTDOWN = "cut by shutdown"


class _Pipe:
    """A kernel pipe that is empty whenever it is not in use."""

    __slots__ = ("read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Over the user's share of pipe memory the kernel refuses; a small pipe works too.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.write_fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


class RelayMemory:
    """What the relays of one loop share: the copy buffer and the idle pipes.

    Args:
        splice: whether to splice where the platform can.
    """

    __slots__ = ("_free", "buffer", "splice")

    def __init__(self, *, splice: bool = True) -> None:
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        self.splice = splice and _CAN_SPLICE
        self._free: list[_Pipe] = []

    def take_pipe(self) -> _Pipe | None:
        """Return an empty pipe, or None when no descriptor is left for one."""
        if self._free:
            return self._free.pop()
        try:
            return _Pipe()
        except OSError:
            return None

    def give_back(self, pipe: _Pipe) -> None:
        """Take an empty pipe back."""
        if len(self._free) < FREE_PIPES:
            self._free.append(pipe)
        else:
            pipe.close()

    def close(self) -> None:
        """Close the idle pipes."""
        while self._free:
            self._free.pop().close()


class _Direction:
    """One way through a tunnel: what `source` sends goes to `sink`."""

    __slots__ = (
        "_in_pipe",
        "_pending",
        "_pipe",
        "_relay",
        "_source_ended",
        "ended",
        "ends_with_reset",
        "sink",
        "source",
        "transferred",
    )

    def __init__(self, relay: "Relay", source: Endpoint, sink: Endpoint) -> None:
        self._relay = relay
        self.source = source
        self.sink = sink
        self.transferred = 0
        self.ended = False
        self.ends_with_reset = False
        """The source is known to be lost: what it sent before is delivered, then a reset."""
        self._source_ended = False
        self._pending: bytes | None = None
        self._pipe: _Pipe | None = None
        self._in_pipe = 0

    @property
    def blocked(self) -> bool:
        return self._pending is not None or self._in_pipe > 0

    def start(self, first: bytes, source_ended: bool) -> None:
        """Deliver what was read before the relay began, then read on."""
        self._source_ended = source_ended
        if first:
            self.transferred = len(first)
            self._send(memoryview(first))
        if self.ended or self.blocked:
            return
        if source_ended:
            self._end()
        else:
            self.source.start_reading(self.on_readable)

    def on_readable(self) -> None:
        if self._pipe is not None:
            self._splice_in(self._pipe)
            return
        relay = self._relay
        buffer = relay.memory.buffer
        try:
            count = self.source.recv_into(buffer)
        except OSError:
            self.ends_with_reset = True
            count = 0
        if count:
            self.transferred += count
            self._send(buffer[:count])
            if count == BUFFER_SIZE and relay.splices and not self.blocked:
                self._pipe = relay.memory.take_pipe()
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

    def _splice_in(self, pipe: _Pipe) -> None:
        try:
            count = os.splice(self.source.fd, pipe.write_fd, PIPE_SIZE, flags=_SPLICE_FLAGS)
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
        self._splice_out(pipe)
        if count < SPLICE_BELOW and not self._in_pipe:
            self._give_pipe_back()

    def _splice_out(self, pipe: _Pipe) -> None:
        while self._in_pipe:
            try:
                sent = os.splice(pipe.read_fd, self.sink.fd, self._in_pipe, flags=_SPLICE_FLAGS)
            except _WOULD_BLOCK:
                self._wait_for_room()
                return
            except OSError:
                self._sink_is_lost()
                return
            self._in_pipe -= sent

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

    def release(self) -> None:
        """Let go of the pipe, with whatever is in it."""
        if self._in_pipe and self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            self._in_pipe = 0
        self._give_pipe_back()


class Relay:
    """Pipes two endpoints to each other and owns them from `start` on.

    Args:
        memory: the loop's shared buffer and pipes.
        client: the endpoint that asked for the tunnel.
        target: the endpoint that leads to the target.
        done: called once, with how it ended, when both endpoints are closed.
    """

    __slots__ = ("_client", "_done", "_down", "_target", "_up", "memory", "splices")

    def __init__(
        self,
        memory: RelayMemory,
        client: Endpoint,
        target: Endpoint,
        done: Callable[[Ending], None],
    ) -> None:
        self.memory = memory
        self.splices = memory.splice and client.plain_fd is not None and target.plain_fd is not None
        self._client = client
        self._target = target
        self._done: Callable[[Ending], None] | None = done
        self._up = _Direction(self, client, target)
        self._down = _Direction(self, target, client)

    def start(self, *, up: bytes = b"", down: bytes = b"", client_ended: bool = False) -> None:
        """Begin.

        Args:
            up: what the client sent ahead, for the target.
            down: what the client is to get first.
            client_ended: the client has already said that it sends no more.
        """
        self._down.start(down, False)
        if self._done is not None:
            self._up.start(up, client_ended)

    @property
    def bytes_up(self) -> int:
        """Bytes from the client to the target."""
        return self._up.transferred

    @property
    def bytes_down(self) -> int:
        """Bytes from the target to the client."""
        return self._down.transferred

    def direction_ended(self) -> None:
        """One direction is through; the relay is over when both are."""
        if self._up.ended and self._down.ended:
            self._client.close()
            self._target.close()
            self._finish(Ending.CLOSED)

    def lost(self, endpoint: Endpoint) -> None:
        """`endpoint` was reset, and all it sent is delivered: reset the other side."""
        other = self._target if endpoint is self._client else self._client
        endpoint.close()
        other.abort()
        self._finish(Ending.CLIENT_RESET if endpoint is self._client else Ending.TARGET_RESET)

    def sink_lost(self, direction: _Direction) -> None:
        """A send failed. What the lost side had sent before is still to be delivered."""
        opposite = self._down if direction is self._up else self._up
        opposite.ends_with_reset = True
        if opposite.ended:
            self.lost(direction.sink)

    def stop(self, ending: Ending) -> None:
        """Cut both sides off."""
        if self._done is not None:
            self._client.abort()
            self._target.abort()
            self._finish(ending)

    def _finish(self, ending: Ending) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._up.release()
        self._down.release()
        done(ending)


class IdleWatch:
    """Ends relays that have moved no byte for `seconds`, with one timer for all of them.

    It compares byte counts every quarter of the time, so an idle tunnel carries nothing extra
    and ends between one and one and a quarter of `seconds`.
    """

    __slots__ = ("_interval", "_loop", "_relays", "_timer")

    SWEEPS = 4

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._interval = seconds / self.SWEEPS
        self._relays: dict[Relay, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, relay: Relay) -> None:
        """Watch a relay until it is removed."""
        self._relays[relay] = (0, 0)
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._sweep)

    def remove(self, relay: Relay) -> None:
        """Watch it no more; it need not be watched."""
        self._relays.pop(relay, None)

    def _sweep(self) -> None:
        over = []
        for relay, (before, quiet) in self._relays.items():
            total = relay.bytes_up + relay.bytes_down
            quiet = quiet + 1 if total == before else 0
            self._relays[relay] = (total, quiet)
            if quiet > self.SWEEPS:
                over.append(relay)
        for relay in over:
            relay.stop(Ending.IDLE)
        self._timer = self._loop.call_later(self._interval, self._sweep) if self._relays else None
