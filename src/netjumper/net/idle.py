"""The idle timeout: one timer for all relays, nothing in any of them."""

import asyncio

from netjumper.net.relay import Ending, Relay


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
