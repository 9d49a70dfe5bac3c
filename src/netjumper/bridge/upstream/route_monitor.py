"""Detects changes of this machine's network.

After a change, existing connections are likely to be dead without any notice: everything that is
sent on them is lost. A check costs a system call or two, so it happens on demand, at most once a
second.
"""

import socket
import time
from typing import Any

CHECK_INTERVAL_S = 1.0
"""Seconds between two checks."""
MIN_SUSPEND_S = 1.0
"""Seconds of suspend that count as a change of the network."""


class RouteMonitor:
    """Monitors the route to one jump host."""

    __slots__ = ("_next_check", "_sources", "_suspend_time")

    def __init__(self) -> None:
        self._next_check = 0.0
        self._sources: dict[tuple[Any, ...], str] = {}
        """Own address by the peer's address: a jump host may have several."""
        self._suspend_time = _suspend_time()

    def has_changed(self, peer: tuple[Any, ...], now: float) -> bool:
        """Return whether the route has changed since the last check.

        Args:
            peer: the peer's address, as a socket gives it.
            now: seconds, of a monotonic clock.
        """
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_INTERVAL_S
        before, suspended = self._sources.get(peer, ""), self._suspend_time
        source = self._sources[peer] = source_address(peer) or before
        self._suspend_time = _suspend_time()
        return before not in ("", source) or self._suspend_time > suspended + MIN_SUSPEND_S


def source_address(peer: tuple[Any, ...]) -> str:
    """Return the source address of packets to `peer`, as a socket gives it; empty without a route.

    The socket sends nothing.
    """
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(peer)  # UDP: this only chooses the route
            return str(sock.getsockname()[0])
    except OSError:
        return ""


def _suspend_time() -> float:
    """Return the seconds that the machine was suspended since its start; 0 if unknown."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
