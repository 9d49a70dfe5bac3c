"""Peers that live and do not read: the user timeout must not take them for vanished.

Linux counts the time that a peer's window is closed as time without an answer, although the peer
does answer (tcp_timer.c, tcp_probe_timer), and so TCP_USER_TIMEOUT alone would cut off whoever
pauses a download. Where data waits for a window it is suspended. One timer does it for all; what
has sent nothing since it was last found with nothing on its way costs no system call.
"""

import asyncio
import socket
from collections.abc import Collection
from typing import Protocol

from netjumper.net.endpoint import Endpoint
from netjumper.net.tcp_info import tcp_info

_CHECKS_PER_TIMEOUT = 4
"""Looks in the time of the user timeout."""


class HasUserTimeouts(Protocol):
    """What has peers that may not read."""

    def suspend_timeouts(self, milliseconds: int) -> None:
        """Do `suspend_user_timeout` for each end where something may be on its way."""


class UserTimeoutSuspender:
    """Looks after everything that is served, as long as there is anything.

    Args:
        loop: the running loop.
        peer_timeout: what the sockets' options have; 0 has nothing done.
        served: all that there is at a time.
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
        """There is something to look after."""
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
        Milliseconds, at least 1000: so much less that the kernel's late look is still in time.
    """
    return max(int(1000 * (peer_timeout - 2 * max(int(peer_timeout / 15), 1))), 1000)


def suspend_user_timeout(endpoint: Endpoint, milliseconds: int) -> bool:
    """Suspend TCP_USER_TIMEOUT while data waits for the peer's window, or set it again.

    Args:
        endpoint: what sends the data.
        milliseconds: the user timeout while the window is open.

    Returns:
        Whether nothing is on its way: there is nothing to look for until more is sent.
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
    """Whether none of what is queued is sent, or what was sent found the peer's buffer full."""
    info = tcp_info(sock)
    return info is not None and (not info.unacknowledged or info.send_window == 0)
