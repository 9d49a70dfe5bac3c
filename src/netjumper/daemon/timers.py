"""Timers for a process without an event loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Timer:
    """A pending call."""

    when: float
    callback: Callable[[], None]
    timers: "list[Timer]"

    def cancel(self) -> None:
        """Cancel the call."""
        if self in self.timers:
            self.timers.remove(self)


class Timers:
    """Calls callbacks later, when `run` is called."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._timers: list[Timer] = []

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer:
        """Call `callback` after that many seconds."""
        timer = Timer(self._clock() + delay, callback, self._timers)
        self._timers.append(timer)
        return timer

    def run(self) -> float | None:
        """Make the calls that are due; return the seconds until the next, None without any."""
        now = self._clock()
        for timer in sorted(self._timers, key=lambda it: it.when):
            if timer.when <= now and timer in self._timers:
                self._timers.remove(timer)
                timer.callback()
        if not self._timers:
            return None
        return max(min(timer.when for timer in self._timers) - self._clock(), 0.0)
