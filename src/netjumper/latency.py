"""How long answers usually take: the 95th percentile of the last ones."""

from collections import deque

REMEMBERED = 128
ENOUGH = 16
"""Answers from which on there is something to say; and between two looks at all of them."""


class Latency:
    """Of the last answers; it has no clock of its own."""

    __slots__ = ("_last", "_news", "usually")

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=REMEMBERED)
        self._news = 0
        self.usually: float | None = None
        """Seconds within which 95 of 100 answers came; None until enough have."""

    def note(self, seconds: float) -> None:
        """Count an answer."""
        self._last.append(seconds)
        self._news += 1
        if self._news >= ENOUGH:
            self._news = 0
            self.usually = sorted(self._last)[len(self._last) * 95 // 100]
