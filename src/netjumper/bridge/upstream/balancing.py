"""Which of several jump hosts a request is to try first, which next.

All of them see the jump hosts through the same few facts (`Way`), and put those that are down last:
when everything is down one of them may just have come back.
"""

import logging
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

BETTER = 0.8
"""Of the time that the jump host in use takes: another must be so fast to take its place. What is
measured is never twice the same, and every change costs new connections."""

_LOG = logging.getLogger("netjumper")


class Way(Protocol):
    """A jump host, as a policy sees it."""

    @property
    def is_down(self) -> bool:
        """Whether it was not reached, or did not let us in, when last tried."""

    @property
    def first_byte(self) -> float | None:
        """Seconds that a first byte takes there and back on average; None if that is not known."""


WayT = TypeVar("WayT", bound=Way)


class JumpPolicy(StrEnum):
    """How jump hosts share the requests."""

    FIRST = "first"
    FASTEST = "fastest"
    SPREAD = "spread"


class Policy(Protocol):
    """Puts the jump hosts into the order to try them in."""

    def order(self, ways: Sequence[WayT]) -> list[WayT]:
        """Return all of them; they are the same ones, in the same order, at every call."""


class First(Policy):
    """The first that is not down."""

    def order(self, ways: Sequence[WayT]) -> list[WayT]:
        """Return them as they are, those that are down behind the others."""
        return sorted(ways, key=_is_down)


class Spread(Policy):
    """One after the other, each as often as its weight says (smooth weighted round robin).

    Args:
        weights: of the jump hosts, in their order.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._credit = [0] * len(weights)

    def order(self, ways: Sequence[WayT]) -> list[WayT]:
        """Return the one whose turn it is, then the others."""
        up = [number for number, way in enumerate(ways) if not way.is_down]
        for number in up:
            self._credit[number] += self._weights[number]
        turns = sorted(range(len(ways)), key=lambda number: -self._credit[number])
        if up:
            chosen = max(up, key=lambda number: self._credit[number])
            self._credit[chosen] -= sum(self._weights[number] for number in up)
        return sorted((ways[number] for number in turns), key=_is_down)


class Fastest(Policy):
    """The one with the shortest way, losses counted; it stays until another is clearly better."""

    def __init__(self) -> None:
        self._used = 0

    def order(self, ways: Sequence[WayT]) -> list[WayT]:
        """Return the one in use, then the others from the fastest to the slowest."""
        times = [_time(way) for way in ways]
        best = min(range(len(ways)), key=lambda number: (ways[number].is_down, times[number]))
        used = self._used
        is_better = ways[used].is_down or times[best] < BETTER * times[used]
        if is_better and best != used and not ways[best].is_down:
            self._used = best
            _tell_of_change(ways[used], ways[best])
        ranks = sorted(range(len(ways)), key=lambda number: (number != self._used, times[number]))
        return sorted((ways[number] for number in ranks), key=_is_down)


def _is_down(way: Way) -> bool:
    return way.is_down


def _time(way: Way) -> float:
    time = way.first_byte
    return float("inf") if time is None or way.is_down else time


def _tell_of_change(before: Way, now: Way) -> None:
    why = "is down" if before.is_down else f"takes {_milliseconds(before)}"
    _LOG.info("%s is used now, it takes %s; %s %s", now, _milliseconds(now), before, why)


def _milliseconds(way: Way) -> str:
    time = way.first_byte
    return "an unknown time" if time is None else f"{1000 * time:.0f} ms"


def policy_of(which: JumpPolicy, weights: Sequence[int]) -> Policy:
    """Return a policy for jump hosts with these weights."""
    if which is JumpPolicy.SPREAD:
        return Spread(weights)
    return Fastest() if which is JumpPolicy.FASTEST else First()
