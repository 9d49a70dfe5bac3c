"""A connected, non-blocking socket on the running loop: one end of a tunnel.

An endpoint has one reader registration for as long as its owner reads; the owner's callback is
called whenever there is something to receive. It has no task, no future and no buffer, so an idle
endpoint costs a socket and a selector key.

A TLS endpoint has the same methods. What needs the bare descriptor (splice) uses `plain_fd`, which
a TLS endpoint does not have.
"""

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

if sys.platform != "win32":
    import fcntl
    import termios

RESET_TIMEOUT_S = 10.0
"""Seconds in which none of the queued data is acknowledged until a reset discards it."""

_RESET_ON_CLOSE, _END_ON_CLOSE = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
"""Values of SO_LINGER (socket(7))."""
WOULD_BLOCK = (BlockingIOError, InterruptedError)
_MORE = getattr(socket, "MSG_MORE", 0)


MakeEndpoint = Callable[[asyncio.AbstractEventLoop, socket.socket], "Endpoint"]
"""Makes the endpoint that owns a connected, non-blocking socket from then on."""


def _reports_after_an_error(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a loop still reports that a descriptor is readable after an error on it.

    uvloop does not: libuv stops polling with the first POLLERR (uv__poll_io in its poll.c).
    """
    return not type(loop).__module__.startswith("uvloop")


class Endpoint:
    """One connected stream socket.

    Args:
        loop: the running loop; it can watch sockets (`dialer.require_watching`).
        sock: a connected socket in non-blocking mode; the endpoint owns it from here on.
    """

    max_send = sys.maxsize
    """Bytes that one `send` takes at most."""

    __slots__ = ("_loop", "_on_readable", "_resets", "_sock", "_watches_on", "_writing", "fd")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._sock = sock
        self._on_readable: Callable[[], None] | None = None
        self._writing = False
        self._resets = False
        self._watches_on = _reports_after_an_error(loop)
        self.fd = sock.fileno()

    @property
    def plain_fd(self) -> int | None:
        """The descriptor whose bytes are those of the stream; None if they are encrypted."""
        return self.fd

    @property
    def is_read(self) -> bool:
        """Whether a callback is registered for reading."""
        return self._on_readable is not None

    def start_reading(self, callback: Callable[[], None]) -> None:
        """Call `callback` as long as there is something to receive, or the end.

        It need not take everything at once; it is called again. It replaces the callback before.
        """
        if self._watches_on:
            self._loop.add_reader(self.fd, callback)
        elif self._on_readable is None:
            self._loop.add_reader(self.fd, self._read_on)
        self._on_readable = callback

    def stop_reading(self) -> None:
        """Stop reading: the peer's window fills, and it stops sending."""
        if self._on_readable is not None:
            self._on_readable = None
            self._loop.remove_reader(self.fd)

    def _read_on(self) -> None:
        """Read a reset connection to its end at once: uvloop reports it only once."""
        if self._on_readable is not None:
            self._on_readable()
        while self._on_readable is not None and self.is_lost:
            self._on_readable()

    def start_writing(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever there is room to send."""
        self._writing = True
        self._loop.add_writer(self.fd, callback)

    def stop_writing(self) -> None:
        """End what `start_writing` began."""
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self.fd)

    def recv(self, limit: int) -> bytes | None:
        """Return up to `limit` bytes, `b""` at the end of the stream, None if nothing is there.

        Raises:
            OSError: the connection is lost.
        """
        try:
            return self._sock.recv(limit)
        except WOULD_BLOCK:
            return None

    def recv_into(self, buffer: memoryview) -> int | None:
        """Receive into `buffer`; the count, 0 at the end of the stream, None if nothing is there.

        Raises:
            OSError: the connection is lost.
        """
        try:
            return self._sock.recv_into(buffer)
        except WOULD_BLOCK:
            return None

    def at_eof(self) -> bool:
        """Return whether there is nothing to receive but the end; it stays to be received.

        Raises:
            OSError: the connection is lost; the kernel reports that only once.
        """
        try:
            return not self._sock.recv(1, socket.MSG_PEEK)
        except WOULD_BLOCK:
            return False

    def send(self, data: bytes | memoryview) -> int:
        """Send what there is room for and return how many bytes that was.

        Raises:
            OSError: the connection is lost.
        """
        try:
            return self._sock.send(data)
        except WOULD_BLOCK:
            return 0

    def send_with_next(self, data: bytes) -> int:
        """Send what there is room for, together with what is sent next or when `push` is called.

        Raises:
            OSError: the connection is lost.
        """
        try:
            return self._sock.send(data, _MORE)
        except WOULD_BLOCK:
            return 0

    def push(self) -> None:
        """Send what `send_with_next` holds back."""
        with contextlib.suppress(OSError):  # the socket is closed by now
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def has_unsent(self) -> bool:
        """Whether something that was sent is not with the kernel yet."""
        return False

    def shutdown_write(self) -> None:
        """End this direction; receiving continues.

        Raises:
            OSError: the connection is lost.
        """
        self._sock.shutdown(socket.SHUT_WR)

    @property
    def is_lost(self) -> bool:
        """Whether the connection was reset; an endpoint that is not read is not called for that."""
        try:
            self._sock.getpeername()
        except OSError:
            return True
        return False

    @property
    def has_no_input(self) -> bool:
        """Whether there is nothing to receive, not even the end."""
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except WOULD_BLOCK:
            return True
        except OSError:
            return False
        return False

    @property
    def sock(self) -> socket.socket:
        """The socket, for its options."""
        return self._sock

    @property
    def peer(self) -> tuple[Any, ...] | None:
        """The address of the peer; None if the connection is lost."""
        try:
            return tuple(self._sock.getpeername())
        except OSError:
            return None

    def reset_on_exit(self) -> None:
        """Make the kernel reset the connection if this process dies before it is closed.

        Otherwise the kernel ends it in order, and truncated data looks complete.
        """
        if not self._resets:
            self._resets = True
            self._set_linger(_RESET_ON_CLOSE)

    def close(self) -> None:
        """Close for good; may be called again."""
        self.stop_reading()
        self.stop_writing()
        if self._resets:
            self._resets = False
            self._set_linger(_END_ON_CLOSE)
        self._sock.close()

    def reset(self) -> None:
        """Reset the connection at once: what the peer does not have yet is lost."""
        self.stop_reading()
        self.stop_writing()
        self._set_linger(_RESET_ON_CLOSE)
        self._sock.close()

    def abort(self) -> None:
        """Reset the connection, once the peer has what was sent before.

        A reset discards what the kernel has queued. So it waits for that, as long as the peer
        acknowledges some of it every `RESET_TIMEOUT_S` seconds.
        """
        self.stop_reading()
        self.stop_writing()
        # Now, so that the end of this process is a reset as well.
        self._set_linger(_RESET_ON_CLOSE)
        self._reset_when_delivered(0.005, 0, self._loop.time() + RESET_TIMEOUT_S)

    def detach(self) -> socket.socket:
        """Return the socket, still non-blocking; the endpoint must not be used any more."""
        self.stop_reading()
        self.stop_writing()
        return self._sock

    def _reset_when_delivered(self, pause: float, before: int, gives_up_at: float) -> None:
        queued, now = self.unacknowledged(), self._loop.time()
        if queued < before:
            gives_up_at = now + RESET_TIMEOUT_S
        if queued and now < gives_up_at:
            self._loop.call_later(
                pause, self._reset_when_delivered, min(2 * pause, 0.25), queued, gives_up_at
            )
        else:
            self._sock.close()

    def _set_linger(self, value: bytes) -> None:
        with contextlib.suppress(OSError):  # a unix socket has no reset
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, value)

    def unacknowledged(self) -> int:
        """Return how many bytes the peer's kernel does not have yet; 0 if that is unknown."""
        if sys.platform == "win32" or self.is_lost:  # a reset does not clear the count
            return 0
        try:
            count = fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0" * 4)
        except OSError:
            return 0
        return int(struct.unpack("i", count)[0])
