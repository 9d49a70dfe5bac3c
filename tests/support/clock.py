"""A loop's clock and timers, without the loop: time passes when a test says so."""

import asyncio
from collections.abc import Callable
from typing import Any


class Clock(asyncio.AbstractEventLoop):
    """Stands in for a loop where only timers are asked of it."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[asyncio.TimerHandle] = []
        self.failures: list[BaseException] = []

    @property
    def timers(self) -> int:
        """How many timers are set."""
        return sum(not timer.cancelled() for timer in self._timers)

    def time(self) -> float:
        return self._now

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, **_: Any
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self)
        self._timers.append(timer)
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, **_: Any
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As a loop does with a callback that raises: keep it, and go on."""
        self.failures.append(context["exception"])

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by `TimerHandle.cancel`."""

    def advance(self, seconds: float) -> None:
        """Let that much time pass, calling what falls due on the way, each at its time."""
        end = self._now + seconds
        while due := [t for t in self._timers if not t.cancelled() and t.when() <= end]:
            timer = min(due, key=asyncio.TimerHandle.when)
            self._timers.remove(timer)
            self._now = max(self._now, timer.when())
            timer._run()
        self._now = max(self._now, end)

    def be_late(self, seconds: float) -> None:
        """Let that much time pass with nothing called, as where a callback takes so long."""
        self._now += seconds
