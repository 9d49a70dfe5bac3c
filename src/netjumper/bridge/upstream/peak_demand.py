"""The peak of the demand for tunnels within the last minute."""

from collections import deque

PEAK_MEMORY_S = 60.0
"""Seconds after which a peak is forgotten."""


class PeakDemand:
    """Counts requests in time windows and keeps the peak. Takes the time as an argument."""

    __slots__ = ("_count", "_peaks", "_window_ends")

    def __init__(self) -> None:
        self._count = 0
        self._window_ends = 0.0
        # Times and counts, with decreasing counts: the first is the highest that is remembered.
        self._peaks: deque[tuple[float, int]] = deque()

    def record(self, now: float, window: float) -> None:
        """Record a request.

        Args:
            now: seconds, of a monotonic clock.
            window: seconds that a time window lasts.
        """
        if now >= self._window_ends:
            self._close_window(now)
            self._count = 0
            self._window_ends = now + window
        self._count += 1

    def peak(self, now: float) -> int:
        """Return the number of requests in the busiest window that is remembered."""
        if now >= self._window_ends + PEAK_MEMORY_S:
            self._count = 0
        while self._peaks and self._peaks[0][0] <= now - PEAK_MEMORY_S:
            self._peaks.popleft()
        return max(self._count, self._peaks[0][1] if self._peaks else 0)

    def _close_window(self, now: float) -> None:
        while self._peaks and self._peaks[-1][1] <= self._count:
            self._peaks.pop()
        if self._count:
            self._peaks.append((min(now, self._window_ends), self._count))
