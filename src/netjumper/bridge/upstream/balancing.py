"""Which of several jump hosts a request is to try first, which next.

All of them see the jump hosts through the same few facts (`Candidate`), and put those that are
down last: when everything is down one of them may just have come back.
"""

import logging
from collections.abc import Sequence
from typing import Protocol, TypeVar

from netjumper.addressing.choices import JumpPolicy

SWITCH_THRESHOLD = 0.8
"""Of the time that the jump host in use takes: another must be so fast to take its place. What is
measured is never twice the same, and every change costs new connections."""

_LOG = logging.getLogger("netjumper")


class Candidate(Protocol):
    """A jump host, as a policy sees it."""

    @property
    def is_down(self) -> bool:
        """Whether it was not reached, or did not let us in, when last tried."""

    @property
    def first_byte(self) -> float | None:
        """Seconds that a first byte takes there and back on average; None if that is not known."""


CandidateT = TypeVar("CandidateT", bound=Candidate)


class Balancing(Protocol):
    """Puts the jump hosts into the order to try them in."""

    def order(self, candidates: Sequence[CandidateT]) -> list[CandidateT]:
        """Return all of them; they are the same ones, in the same order, at every call."""


class Failover(Balancing):
    """The first that is not down."""

    def order(self, candidates: Sequence[CandidateT]) -> list[CandidateT]:
        """Return them as they are, those that are down behind the others."""
        return sorted(candidates, key=_is_down)


class WeightedRoundRobin(Balancing):
    """One after the other, each as often as its weight says (smooth weighted round robin).

    Args:
        weights: of the jump hosts, in their order.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._credit = [0] * len(weights)

    def order(self, candidates: Sequence[CandidateT]) -> list[CandidateT]:
        """Return the one whose turn it is, then the others."""
        up = [number for number, jump_host in enumerate(candidates) if not jump_host.is_down]
        for number in up:
            self._credit[number] += self._weights[number]
        turns = sorted(range(len(candidates)), key=lambda number: -self._credit[number])
        if up:
            chosen = max(up, key=lambda number: self._credit[number])
            self._credit[chosen] -= sum(self._weights[number] for number in up)
        return sorted((candidates[number] for number in turns), key=_is_down)


class LowestLatency(Balancing):
    """The one with the shortest way, losses counted; it stays until another is clearly better."""

    def __init__(self) -> None:
        self._used = 0

    def order(self, candidates: Sequence[CandidateT]) -> list[CandidateT]:
        """Return the one in use, then the others from the fastest to the slowest."""
        times = [_time(jump_host) for jump_host in candidates]
        best = min(
            range(len(candidates)), key=lambda number: (candidates[number].is_down, times[number])
        )
        used = self._used
        is_better = candidates[used].is_down or times[best] < SWITCH_THRESHOLD * times[used]
        if is_better and best != used and not candidates[best].is_down:
            self._used = best
            _log_switch(candidates[used], candidates[best])
        ranks = sorted(
            range(len(candidates)), key=lambda number: (number != self._used, times[number])
        )
        return sorted((candidates[number] for number in ranks), key=_is_down)


def _is_down(jump_host: Candidate) -> bool:
    return jump_host.is_down


def _time(jump_host: Candidate) -> float:
    time = jump_host.first_byte
    return float("inf") if time is None or jump_host.is_down else time


def _log_switch(before: Candidate, now: Candidate) -> None:
    why = "is down" if before.is_down else f"takes {_milliseconds(before)}"
    _LOG.info("%s is used now, it takes %s; %s %s", now, _milliseconds(now), before, why)


def _milliseconds(jump_host: Candidate) -> str:
    time = jump_host.first_byte
    return "an unknown time" if time is None else f"{1000 * time:.0f} ms"


def balancing_for(which: JumpPolicy, weights: Sequence[int]) -> Balancing:
    """Return a policy for jump hosts with these weights."""
    if which is JumpPolicy.SPREAD:
        return WeightedRoundRobin(weights)
    return LowestLatency() if which is JumpPolicy.FASTEST else Failover()
