"""This machine in the network: what leads out of it, and which addresses are its own.

`RouteMonitor` notices that the way out is another than before.

Connections made before that are likely to lead nowhere, and nothing tells: what is sent on them
is lost. A look costs a system call or two, so it is taken when somebody asks, once a second.
"""

import socket
import time
from typing import Any

CHECK_INTERVAL_S = 1.0
"""Seconds."""
MIN_SUSPEND_S = 1.0
"""Seconds asleep from which on the network counts as another."""


class RouteMonitor:
    """The way that leads to one jump host."""

    __slots__ = ("_next_check", "_sources", "_suspend_time")

    def __init__(self) -> None:
        self._next_check = 0.0
        self._sources: dict[tuple[Any, ...], str] = {}
        """By the address at the other end: a jump host may have several."""
        self._suspend_time = _suspend_time()

    def has_changed(self, peer: tuple[Any, ...], now: float) -> bool:
        """Whether it has, since it was last asked.

        Args:
            peer: the address at the other end, as a socket gives it.
            now: seconds, of a clock that never goes back.
        """
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_INTERVAL_S
        before, slept = self._sources.get(peer, ""), self._suspend_time
        source = self._sources[peer] = source_address(peer) or before
        self._suspend_time = _suspend_time()
        return before not in ("", source) or self._suspend_time > slept + MIN_SUSPEND_S


def source_address(peer: tuple[Any, ...]) -> str:
    """Return the address that packets to `peer` leave with; empty where there is no way."""
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(peer)  # sends nothing
            return str(sock.getsockname()[0])
    except OSError:
        return ""


def _suspend_time() -> float:
    """Return how long the machine has slept since it was started, in seconds."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
