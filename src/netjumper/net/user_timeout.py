"""Suspends TCP_USER_TIMEOUT for peers that are alive but do not read.

Linux counts the time that a peer's window is closed as time without an answer, although the peer
answers (tcp_timer.c, tcp_probe_timer). So TCP_USER_TIMEOUT alone would disconnect a client that
pauses a download. While data waits for the window, the timeout is suspended. One timer checks all
connections; a connection that sent nothing since it was last found without data on its way costs no
system call.
"""

import asyncio
import socket
from collections.abc import Collection
from typing import Protocol

from netjumper.net.endpoint import Endpoint
from netjumper.net.tcp_info import tcp_info

_CHECKS_PER_TIMEOUT = 4
"""Checks in the time of a user timeout."""


class HasUserTimeouts(Protocol):
    """A session, whose peers may not read."""

    def suspend_timeouts(self, milliseconds: int) -> None:
        """Call `suspend_user_timeout` for each endpoint that may have data on its way."""


class UserTimeoutSuspender:
    """Checks all sessions regularly, as long as there are any.

    Args:
        loop: the running loop.
        peer_timeout: seconds, as in `SocketOptions`; 0 disables the checks.
        served: the sessions; changes as they come and go.
    """

    __slots__ = ("_interval", "_loop", "_milliseconds", "_served", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer_timeout: float,
        served: Collection[HasUserTimeouts],
    ) -> None:
        self._loop = loop
        has_one = peer_timeout and hasattr(socket, "TCP_USER_TIMEOUT")
        self._milliseconds = user_timeout_of(peer_timeout) if has_one else 0
        self._interval = self._milliseconds / 1000 / _CHECKS_PER_TIMEOUT
        self._served = served
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to check: there is a session."""
        if self._timer is None and self._milliseconds:
            self._timer = self._loop.call_later(self._interval, self._look)

    def _look(self) -> None:
        self._timer = None
        for it in self._served:
            it.suspend_timeouts(self._milliseconds)
        if self._served:
            self.start()


def user_timeout_of(peer_timeout: float) -> int:
    """Return the TCP_USER_TIMEOUT that goes with a peer timeout.

    Args:
        peer_timeout: in seconds.

    Returns:
        Milliseconds, at least 1000; less than the peer timeout, as the kernel checks late.
    """
    return max(int(1000 * (peer_timeout - 2 * max(int(peer_timeout / 15), 1))), 1000)


def suspend_user_timeout(endpoint: Endpoint, milliseconds: int) -> bool:
    """Suspend TCP_USER_TIMEOUT while data waits for the peer's window, and set it afterwards.

    Args:
        endpoint: what sends the data.
        milliseconds: the user timeout while the window is open.

    Returns:
        Whether no data is on its way, so that no check is needed until more is sent.
    """
    queued, sock = endpoint.unacknowledged(), endpoint.sock
    try:
        wanted = 0 if queued and _is_window_closed(sock) else milliseconds
        if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) != wanted:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, wanted)
    except OSError:  # the connection is lost, or has no such option
        return True
    return not queued


def _is_window_closed(sock: socket.socket) -> bool:
    """Whether the queued data is not being sent, or the peer's buffer was full for it."""
    info = tcp_info(sock)
    return info is not None and (not info.unacknowledged or info.send_window == 0)
