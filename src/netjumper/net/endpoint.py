"""A connected, non-blocking socket on the running loop: one end of a tunnel.

An endpoint keeps ONE reader registration for as long as somebody wants to read; its owner's
callback is called whenever there is something. No task, no future, no buffer belongs to it,
so an idle endpoint costs a socket and a selector key.

A TLS endpoint has the same methods; what can be done with a bare descriptor only (splice) asks
for `plain_fd`, which it does not have.
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
"""Seconds without any of the queued data being acknowledged, after which a reset cuts it off."""

_RESET_ON_CLOSE, _END_ON_CLOSE = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
"""Values of SO_LINGER (socket(7))."""
_WOULD_BLOCK = (BlockingIOError, InterruptedError)
_MORE = getattr(socket, "MSG_MORE", 0)


MakeEndpoint = Callable[[asyncio.AbstractEventLoop, socket.socket], "Endpoint"]
"""Makes the endpoint of a connected, non-blocking socket, which owns it from there on."""


def _watches_after_an_error(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a loop goes on telling that a descriptor is readable after an error on it.

    uvloop does not: libuv stops polling with the first POLLERR (uv__poll_io in its poll.c).
    """
    return not type(loop).__module__.startswith("uvloop")


class Endpoint:
    """One connected stream socket.

    Args:
        loop: the running loop, one that `require_watching` finds right.
        sock: a connected socket in non-blocking mode; the endpoint owns it from here on.
    """

    __slots__ = ("_loop", "_on_readable", "_resets", "_sock", "_watches_on", "_writing", "fd")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._sock = sock
        self._on_readable: Callable[[], None] | None = None
        self._writing = False
        self._resets = False
        self._watches_on = _watches_after_an_error(loop)
        self.fd = sock.fileno()

    @property
    def plain_fd(self) -> int | None:
        """The descriptor whose bytes are the stream's own, None where there is encryption."""
        return self.fd

    @property
    def is_read(self) -> bool:
        """Whether somebody wants to know of what comes in."""
        return self._on_readable is not None

    def start_reading(self, callback: Callable[[], None]) -> None:
        """Have `callback` called as long as there is something to receive, or the end.

        It need not take all there is at once; it is called again. It takes the place of the
        callback before.
        """
        if self._watches_on:
            self._loop.add_reader(self.fd, callback)
        elif self._on_readable is None:
            self._loop.add_reader(self.fd, self._read_on)
        self._on_readable = callback

    def stop_reading(self) -> None:
        """Leave what comes in where it is: the peer's window fills and it stops sending."""
        if self._on_readable is not None:
            self._on_readable = None
            self._loop.remove_reader(self.fd)

    def _read_on(self) -> None:
        """Read a connection that was reset to its end in one go: uvloop tells of it only once."""
        if self._on_readable is not None:
            self._on_readable()
        while self._on_readable is not None and self.is_lost:
            self._on_readable()

    def start_writing(self, callback: Callable[[], None]) -> None:
        """Have `callback` called whenever there is room to send."""
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
        except _WOULD_BLOCK:
            return None

    def recv_into(self, buffer: memoryview) -> int | None:
        """Receive into `buffer`; the count, 0 at the end of the stream, None if nothing is there.

        Raises:
            OSError: the connection is lost.
        """
        try:
            return self._sock.recv_into(buffer)
        except _WOULD_BLOCK:
            return None

    def at_eof(self) -> bool:
        """Return whether there is nothing to receive but the end; it stays to be received.

        Raises:
            OSError: the connection is lost, which is told only once.
        """
        try:
            return not self._sock.recv(1, socket.MSG_PEEK)
        except _WOULD_BLOCK:
            return False

    def send(self, data: bytes | memoryview) -> int:
        """Send what there is room for and return how many bytes that was.

        Raises:
            OSError: the connection is lost.
        """
        try:
            return self._sock.send(data)
        except _WOULD_BLOCK:
            return 0

    def send_with_next(self, data: bytes) -> int:
        """Send what there is room for together with what is sent next, or is `push`ed.

        Raises:
            OSError: the connection is lost.
        """
        try:
            return self._sock.send(data, _MORE)
        except _WOULD_BLOCK:
            return 0

    def push(self) -> None:
        """Have what `send_with_next` holds back leave now."""
        with contextlib.suppress(OSError):  # it was closed meanwhile
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def has_unsent(self) -> bool:
        """Whether something that was sent is not with the kernel yet."""
        return False

    def shutdown_write(self) -> None:
        """Say that no more will be sent; receiving goes on.

        Raises:
            OSError: the connection is lost.
        """
        self._sock.shutdown(socket.SHUT_WR)

    @property
    def is_lost(self) -> bool:
        """Whether the connection was reset, which an endpoint that nobody reads is not told."""
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
        except _WOULD_BLOCK:
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
        """The address at the other end, None where the connection is gone."""
        try:
            return tuple(self._sock.getpeername())
        except OSError:
            return None

    def reset_on_exit(self) -> None:
        """Have the peer see a reset, should this process die before it closes the connection.

        The kernel would end it like any other, and what was cut would look complete.
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

        A reset throws away what the kernel has still queued, so that is waited for, for as
        long as the peer takes some of it every `RESET_TIMEOUT_S` seconds: it may be gone.
        """
        self.stop_reading()
        self.stop_writing()
        # At once, so that a process that ends meanwhile resets too.
        self._set_linger(_RESET_ON_CLOSE)
        self._reset_when_delivered(0.005, 0, self._loop.time() + RESET_TIMEOUT_S)

    def detach(self) -> socket.socket:
        """Give the socket away, still non-blocking; the endpoint is then of no more use."""
        self.stop_reading()
        self.stop_writing()
        return self._sock

    def _reset_when_delivered(self, pause: float, before: int, patience_ends: float) -> None:
        queued, now = self.unacknowledged(), self._loop.time()
        if queued < before:
            patience_ends = now + RESET_TIMEOUT_S
        if queued and now < patience_ends:
            self._loop.call_later(
                pause, self._reset_when_delivered, min(2 * pause, 0.25), queued, patience_ends
            )
        else:
            self._sock.close()

    def _set_linger(self, value: bytes) -> None:
        with contextlib.suppress(OSError):  # a unix socket has no reset
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, value)

    def unacknowledged(self) -> int:
        """How many bytes are not with the peer's kernel yet; 0 where that cannot be told."""
        if sys.platform == "win32" or self.is_lost:  # a reset leaves the count as it was
            return 0
        try:
            count = fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0" * 4)
        except OSError:
            return 0
        return int(struct.unpack("i", count)[0])
