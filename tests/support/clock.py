"""An event loop's clock and timers, whose time only tests advance."""

import asyncio
from collections.abc import Callable
from typing import Any


class Clock(asyncio.AbstractEventLoop):
    """A loop for code that uses only its clock and timers."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[asyncio.TimerHandle] = []
        self.failures: list[BaseException] = []

    @property
    def timers(self) -> int:
        """The number of timers that are set."""
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
        """Record the error of a callback and continue, like a real loop."""
        self.failures.append(context["exception"])

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by `TimerHandle.cancel`."""

    def advance(self, seconds: float) -> None:
        """Advance the clock by `seconds`, and call each timer at its time."""
        end = self._now + seconds
        while due := [t for t in self._timers if not t.cancelled() and t.when() <= end]:
            timer = min(due, key=asyncio.TimerHandle.when)
            self._timers.remove(timer)
            self._now = max(self._now, timer.when())
            timer._run()
        self._now = max(self._now, end)

    def skip(self, seconds: float) -> None:
        """Advance the clock without calling timers, like a callback that takes so long."""
        self._now += seconds
