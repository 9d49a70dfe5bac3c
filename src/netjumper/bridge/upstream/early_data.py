"""Early data: bytes sent to a target before the jump server has reported that it is reached.

A client that gets its success reply at once sends its first bytes at once. They travel with the
destination, and the answer is back after one round trip instead of two. The client gets this early
reply only if success is nearly certain: the target was reached a short while ago.
"""

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData

KNOWN_TARGET_S = 300.0
"""Seconds for which a target that was reached is expected to be reachable again."""
MAX_KNOWN_TARGETS = 4096
"""Targets remembered at once, to limit the memory; the oldest is dropped first."""


class KnownTargets:
    """Remembers which targets were reached. Takes the time as an argument.

    Args:
        which: the targets that are expected to be reached.
    """

    __slots__ = ("_until", "_which")

    def __init__(self, which: EarlyData) -> None:
        self._which = which
        self._until: dict[Address, float] = {}  # in the order of their ends

    def expects(self, target: Address, now: float) -> bool:
        """Return whether a tunnel to the target is nearly certain; `now` is in seconds."""
        if self._which is EarlyData.KNOWN:
            return self._until.get(target, now) > now
        return self._which is EarlyData.ALWAYS

    def record_success(self, target: Address, now: float) -> None:
        """Record that the target was reached; `now` is in seconds."""
        self._until.pop(target, None)
        self._until[target] = now + KNOWN_TARGET_S
        if len(self._until) > MAX_KNOWN_TARGETS:
            del self._until[next(iter(self._until))]

    def record_failure(self, target: Address) -> None:
        """Record that the target was not reached."""
        self._until.pop(target, None)
