"""How much is asked for at once: the busiest moment of the last minute."""

from collections import deque

REMEMBERED = 60.0
"""Seconds after which a busy moment is forgotten."""


class PeakDemand:
    """Counts arrivals in windows of time, and remembers the fullest; it has no clock of its own."""

    __slots__ = ("_count", "_fullest", "_window_ends")

    def __init__(self) -> None:
        self._count = 0
        self._window_ends = 0.0
        # Times and counts, the counts falling: the first is the fullest of those not forgotten.
        self._fullest: deque[tuple[float, int]] = deque()

    def note(self, now: float, window: float) -> None:
        """Count an arrival.

        Args:
            now: seconds, of a clock that never goes back.
            window: seconds that a moment lasts.
        """
        if now >= self._window_ends:
            self._remember(now)
            self._count = 0
            self._window_ends = now + window
        self._count += 1

    def peak(self, now: float) -> int:
        """Return how many arrived in the fullest window that is not forgotten."""
        if now >= self._window_ends + REMEMBERED:
            self._count = 0
        while self._fullest and self._fullest[0][0] <= now - REMEMBERED:
            self._fullest.popleft()
        return max(self._count, self._fullest[0][1] if self._fullest else 0)

    def _remember(self, now: float) -> None:
        while self._fullest and self._fullest[-1][1] <= self._count:
            self._fullest.pop()
        if self._count:
            self._fullest.append((min(now, self._window_ends), self._count))
