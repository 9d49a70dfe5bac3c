"""Early data: what leaves for a target before the jump server has said that it is reached.

A program that is told at once that its tunnel stands sends its first bytes at once; they travel
with the destination, and the answer is back after one round trip instead of two. It is told so
where that is as good as certain: the target was reached a short while ago.
"""

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData

KNOWN_TARGET_S = 300.0
"""Seconds that a target which was reached is expected to be reached again."""
MAX_KNOWN_TARGETS = 4096


class KnownTargets:
    """Remembers which targets were reached; it has no clock of its own.

    Args:
        which: which of them are expected to be reached.
    """

    __slots__ = ("_until", "_which")

    def __init__(self, which: EarlyData) -> None:
        self._which = which
        self._until: dict[Address, float] = {}  # in the order of their ends

    def expects(self, target: Address, now: float) -> bool:
        """Whether a tunnel there is as good as certain; `now` is in seconds."""
        if self._which is EarlyData.KNOWN:
            return self._until.get(target, now) > now
        return self._which is EarlyData.ALWAYS

    def record_success(self, target: Address, now: float) -> None:
        """Note that a target was reached."""
        self._until.pop(target, None)
        self._until[target] = now + KNOWN_TARGET_S
        if len(self._until) > MAX_KNOWN_TARGETS:
            del self._until[next(iter(self._until))]

    def record_failure(self, target: Address) -> None:
        """Note that it was not."""
        self._until.pop(target, None)
