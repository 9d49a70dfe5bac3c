"""The idle timeout: one timer for all relays, and no state in any of them."""

import asyncio
from typing import Protocol

from netjumper.relay.ending import RelayEnd


class Watched(Protocol):
    """A relay or another kind of traffic that can be idle."""

    @property
    def bytes_up(self) -> int:
        """Bytes received from the client."""

    @property
    def bytes_down(self) -> int:
        """Bytes received from the target."""

    def stop(self, ending: RelayEnd) -> None:
        """End it for that reason."""


class IdleWatch:
    """Ends relays that have moved no byte for some time, with one timer for all of them.

    It compares byte counts every quarter of the time. So a relay needs no timer of its own, and an
    idle one ends after 1 to 1.25 times `seconds`.

    Args:
        loop: the running loop.
        seconds: the idle timeout.
    """

    __slots__ = ("_interval", "_loop", "_timer", "_watched")

    SWEEPS = 4

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._interval = seconds / self.SWEEPS
        self._watched: dict[Watched, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, it: Watched) -> None:
        """Watch a relay until it is removed."""
        self._watched[it] = (0, 0)
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._sweep)

    def remove(self, it: Watched) -> None:
        """Stop watching a relay; it need not be watched."""
        self._watched.pop(it, None)

    def _sweep(self) -> None:
        over = []
        for it, (before, quiet) in self._watched.items():
            total = it.bytes_up + it.bytes_down
            quiet = quiet + 1 if total == before else 0
            self._watched[it] = (total, quiet)
            if quiet > self.SWEEPS:
                over.append(it)
        for it in over:
            it.stop(RelayEnd.IDLE)
        self._timer = self._loop.call_later(self._interval, self._sweep) if self._watched else None
