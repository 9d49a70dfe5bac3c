"""Shared bandwidth: a token bucket with a fair queue.

A direction asks for an `allowance` before it reads. If there is none, it waits in the queue, and is
called when its turn comes: round robin, one quantum each. So a message on a quiet tunnel waits for
one quantum of each busy direction, and not for a whole download. A direction that waits does not
read, so TCP slows its sender down.

A turn can overdraw the bucket by its quantum; the next turn comes when that has been earned back.
So a small message never waits until a whole quantum has been saved up.

Bandwidths form a tree of two levels, one for all tunnels and one for each client. Children wait in
the queue of their parent in the same way as directions in theirs, so each client has the same
share, however many of its directions wait.
"""

import asyncio
from collections import OrderedDict
from math import inf
from typing import Protocol

MIN_QUANTUM, MAX_QUANTUM = 4 * 1024, 256 * 1024
"""Bytes of a turn. To read fewer costs too much; the copy buffer does not hold more."""
QUANTUM_S = 0.005
"""Seconds that the bytes of a turn take at the given rate, within these bounds."""
BURST_S = 0.06
"""Unused bandwidth of so many seconds can be used at once later. So a loop that is late by less
does not lose bandwidth, and two seconds of bulk are at most 3 % above the rate."""
MIN_SAVED_BYTES = 2 * 1024
"""Bytes that can be saved up at least, at rates whose burst is hardly more than a quantum."""
MIN_TIMER_S = 0.001
"""Shortest timer in seconds. Loops round to that, and due reads are handled in between."""


class Waiter(Protocol):
    """A direction or bandwidth that waits for its turn."""

    def take_turn(self, limit: int) -> None:
        """Read at most `limit` bytes now, and report to `spend` how many it were."""


class Bandwidth:
    """A number of bytes per second that many directions share.

    In any `t` seconds it lets `rate * t` bytes through, and a burst: the bytes of 60 ms, but at
    least 6 KiB. Bytes count when they are reported to `spend`.

    Args:
        loop: the running loop.
        rate: bytes per second; 0 or None is no limit.
        parent: the bandwidth that this one is a part of; it has no parent itself.
    """

    __slots__ = (
        "_loop",
        "_max_tokens",
        "_parent",
        "_quantum",
        "_rate",
        "_refilled_at",
        "_spent",
        "_timer",
        "_tokens",
        "_waiting",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        rate: float | None,
        parent: "Bandwidth | None" = None,
    ) -> None:
        self._loop = loop
        self._parent = parent
        self._waiting: OrderedDict[Waiter, None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._refilled_at = loop.time()
        self._spent = 0
        self._rate = inf
        self._tokens = inf
        self.set_rate(rate)

    def __contains__(self, waiter: Waiter) -> bool:
        return waiter in self._waiting

    def set_rate(self, rate: float | None) -> None:
        """Change the rate to so many bytes per second; 0 or None is no limit."""
        self._refill()
        self._rate = rate or inf
        quantum = min(max(self._rate * QUANTUM_S, MIN_QUANTUM), MAX_QUANTUM)
        self._quantum = int(quantum)
        self._max_tokens = max(self._rate * BURST_S - quantum, MIN_SAVED_BYTES)
        self._tokens = max(min(self._tokens, self._max_tokens), -quantum)
        self._cancel_timer()
        self._schedule_next()

    def allowance(self) -> int:
        """Return how many bytes can be read now: 0 if others wait or no bandwidth is left.

        The caller must report the bytes that it read to `spend`.
        """
        if self._waiting or self._refill() <= 0:
            return 0
        own = self._turn_size(1)
        return own if self._parent is None else min(own, self._parent.allowance())

    def spend(self, count: int) -> None:
        """Count bytes that were read."""
        self._tokens -= count
        self._spent += count
        if self._parent is not None:
            self._parent.spend(count)

    def wait(self, waiter: Waiter) -> None:
        """Queue `waiter` for a turn; it keeps its place if it waits already."""
        self._waiting[waiter] = None
        self._schedule_next()

    def leave(self, waiter: Waiter) -> None:
        """Remove `waiter` from the queue; it need not be in it."""
        if waiter in self._waiting:
            del self._waiting[waiter]
            self._stop_if_empty()

    def take_turn(self, limit: int) -> None:
        """Take this client's turn: let its directions read, up to `limit` bytes together."""
        self._refill()
        end = self._spent + limit
        try:
            for _ in range(len(self._waiting)):
                self._serve_first(min(end - self._spent, self._turn_size(1)))
                if not self._waiting or self._spent >= end or self._refill() <= 0:
                    break
        finally:  # a bug in one direction must not hold up the others
            self._schedule_next()

    def _turn_size(self, count: int) -> int:
        """Return the bytes of a turn: a quantum, or more if `count` turns can have more each."""
        return int(min(max(self._tokens / count, self._quantum), MAX_QUANTUM))

    def _serve_first(self, limit: int) -> None:
        first, _ = self._waiting.popitem(last=False)
        first.take_turn(limit)
        self._stop_if_empty()

    def _stop_if_empty(self) -> None:
        """Cancel the timer and leave the parent's queue if the own queue is empty."""
        if not self._waiting:
            self._cancel_timer()
            if self._parent is not None:
                self._parent.leave(self)

    def _refill(self) -> float:
        """Add the tokens earned since the last call, and return all; negative if owed."""
        if self._rate == inf:
            return inf
        now = self._loop.time()
        self._tokens = min(self._tokens + (now - self._refilled_at) * self._rate, self._max_tokens)
        self._refilled_at = now
        return self._tokens

    def _schedule_next(self) -> None:
        if not self._waiting or self._timer is not None:
            return
        owed = max(-self._refill(), 0)
        if not owed and self._parent is not None:
            self._parent.wait(self)
        else:
            self._timer = self._loop.call_later(max(owed / self._rate, MIN_TIMER_S), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            if self._parent is None:
                self._serve_all_once()
            elif self._refill() > 0 and (limit := self._parent.allowance()):
                self.take_turn(limit)
        finally:  # as in take_turn
            self._schedule_next()

    def _serve_all_once(self) -> None:
        """Give each waiter one turn while there are tokens.

        Not two: a waiter that has more to read queues again only in the loop's next round, and must
        not lose its place to those that are still queued.
        """
        self._refill()
        count = len(self._waiting)
        limit = self._turn_size(count)
        for _ in range(count):
            if not self._waiting or self._refill() <= 0:
                break
            self._serve_first(limit)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
