"""The order in which a request tries several jump hosts.

Every balancing sees a jump host through the same few facts (`Candidate`). Those that are down come
last but are still tried: when all are down, one of them may just have come back.
"""

import logging
from collections.abc import Sequence
from typing import Protocol, TypeVar

from netjumper.addressing.choices import JumpPolicy

SWITCH_THRESHOLD = 0.8
"""Another jump host replaces the one in use if its latency is below this share of the latency of
the one in use. Measurements vary, and every switch costs new connections."""

_LOG = logging.getLogger("netjumper")


class Candidate(Protocol):
    """A jump host as a balancing sees it."""

    @property
    def is_down(self) -> bool:
        """Whether the last attempt to connect or to authenticate failed."""

    @property
    def first_byte(self) -> float | None:
        """Mean seconds that a byte and its answer take, losses included; None if unknown."""


CandidateT = TypeVar("CandidateT", bound=Candidate)


class Balancing(Protocol):
    """Puts the jump hosts into the order in which a request tries them."""

    def order(self, candidates: Sequence[CandidateT]) -> list[CandidateT]:
        """Return all candidates, the first to try first.

        Args:
            candidates: the same jump hosts in the same order at every call.
        """


class Failover(Balancing):
    """Uses the first jump host that is not down."""

    def order(self, candidates: Sequence[CandidateT]) -> list[CandidateT]:
        """Return the candidates in their own order, those that are down last."""
        return sorted(candidates, key=_is_down)


class WeightedRoundRobin(Balancing):
    """Uses the jump hosts in turn, each as often as its weight says (smooth weighted round robin).

    Args:
        weights: one for each jump host, in their order.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._credit = [0] * len(weights)

    def order(self, candidates: Sequence[CandidateT]) -> list[CandidateT]:
        """Return the candidate whose turn it is, then the others."""
        up = [index for index, jump_host in enumerate(candidates) if not jump_host.is_down]
        for index in up:
            self._credit[index] += self._weights[index]
        turns = sorted(range(len(candidates)), key=lambda index: -self._credit[index])
        if up:
            chosen = max(up, key=lambda index: self._credit[index])
            self._credit[chosen] -= sum(self._weights[index] for index in up)
        return sorted((candidates[index] for index in turns), key=_is_down)


class LowestLatency(Balancing):
    """Uses the jump host with the lowest latency, until another is clearly faster."""

    def __init__(self) -> None:
        self._used = 0

    def order(self, candidates: Sequence[CandidateT]) -> list[CandidateT]:
        """Return the candidate in use, then the others from the fastest to the slowest."""
        times = [_latency(jump_host) for jump_host in candidates]
        indices = range(len(candidates))
        best = min(indices, key=lambda index: (candidates[index].is_down, times[index]))
        used = self._used
        is_better = candidates[used].is_down or times[best] < SWITCH_THRESHOLD * times[used]
        if is_better and best != used and not candidates[best].is_down:
            self._used = best
            _log_switch(candidates[used], candidates[best])
        ranks = sorted(indices, key=lambda index: (index != self._used, times[index]))
        return sorted((candidates[index] for index in ranks), key=_is_down)


def _is_down(jump_host: Candidate) -> bool:
    return jump_host.is_down


def _latency(jump_host: Candidate) -> float:
    latency = jump_host.first_byte
    return float("inf") if latency is None or jump_host.is_down else latency


def _log_switch(before: Candidate, now: Candidate) -> None:
    state = "down" if before.is_down else _milliseconds(before)
    _LOG.info("switched to %s (%s) from %s (%s)", now, _milliseconds(now), before, state)


def _milliseconds(jump_host: Candidate) -> str:
    latency = jump_host.first_byte
    return "latency unknown" if latency is None else f"{1000 * latency:.0f} ms"


def balancing_for(policy: JumpPolicy, weights: Sequence[int]) -> Balancing:
    """Return the balancing that implements a policy.

    Args:
        policy: the policy.
        weights: one for each jump host, in their order; only `SPREAD` uses them.
    """
    if policy is JumpPolicy.SPREAD:
        return WeightedRoundRobin(weights)
    return LowestLatency() if policy is JumpPolicy.FASTEST else Failover()
