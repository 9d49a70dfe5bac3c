"""Bandwidth that many share: a token bucket, and a queue in front of it.

Who wants to read asks for an `allowance`. Where there is none it waits in the queue, and is called
when its turn comes: all in turn, for one quantum each. So a message of somebody who is mostly
silent waits for one quantum of each that is busy, and not for what one of them would like to have.
Who waits does not read, so TCP slows its sender down.

A turn may overdraw the bucket, by its quantum, and the next one comes when that is paid back; so a
small message never waits for a whole quantum to be there.

Bandwidths make a tree of two levels, one for all and one for each client: the children of a parent
wait in its queue as directions do in theirs, so each has the same share however many wait in it.
"""

import asyncio
from collections import OrderedDict
from math import inf
from typing import Protocol

LEAST_QUANTUM, MOST_QUANTUM = 4 * 1024, 256 * 1024
"""Bytes of a turn: reading fewer costs too much, and more is more than the copy buffer has."""
QUANTUM = 0.005
"""Seconds that a turn's bytes take, within these bounds."""
BURST = 0.06
"""Seconds' worth of bytes that may leave at once after a time with fewer: a loop that is late by
less slows nobody down, and two seconds of bulk are 3 % more than they should be, at most."""
LEAST_SAVED = 2 * 1024
"""Bytes that can be saved up, at a rate whose burst is hardly more than a quantum."""
TICK = 0.001
"""Seconds that a timer takes at least: loops round to that, and reads that are due come between."""


class Waiter(Protocol):
    """Who waits for its turn."""

    def take_turn(self, limit: int) -> None:
        """Read now, at most `limit` bytes, and tell the bandwidth how many these were."""


class Bandwidth:
    """So many bytes per second, for all who share it.

    In any time of `t` seconds it lets `rate * t` bytes through, and a burst: 60 ms' worth, or 6 KiB
    where that is more. What counts is what `spend` is told.

    Args:
        loop: the running loop.
        rate: bytes per second; 0 or None is no limit.
        parent: what this one is a part of, with a limit of its own. It has no parent.
    """

    __slots__ = (
        "_as_of",
        "_loop",
        "_most",
        "_moved",
        "_parent",
        "_quantum",
        "_rate",
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
        self._as_of = loop.time()
        self._moved = 0
        self._rate = inf
        self._tokens = inf
        self.set_rate(rate)

    def __contains__(self, waiter: Waiter) -> bool:
        return waiter in self._waiting

    def set_rate(self, rate: float | None) -> None:
        """Let so many bytes per second through from now on; 0 or None is no limit."""
        self._earn()
        self._rate = rate or inf
        quantum = min(max(self._rate * QUANTUM, LEAST_QUANTUM), MOST_QUANTUM)
        self._quantum = int(quantum)
        self._most = max(self._rate * BURST - quantum, LEAST_SAVED)
        self._tokens = max(min(self._tokens, self._most), -quantum)
        self._cancel_timer()
        self._see_to_the_next()

    def allowance(self) -> int:
        """Return how many bytes may be read without waiting: 0 where others wait, or none are left.

        `spend` has to be told how many it were.
        """
        if self._waiting or self._earn() <= 0:
            return 0
        own = self._turn_among(1)
        return own if self._parent is None else min(own, self._parent.allowance())

    def spend(self, count: int) -> None:
        """So many bytes were moved on."""
        self._tokens -= count
        self._moved += count
        if self._parent is not None:
            self._parent.spend(count)

    def wait(self, waiter: Waiter) -> None:
        """Have `waiter` take its turn when it comes; who waits already keeps its place."""
        self._waiting[waiter] = None
        self._see_to_the_next()

    def leave(self, waiter: Waiter) -> None:
        """Have it wait no more; it need not be waiting."""
        if waiter in self._waiting:
            del self._waiting[waiter]
            self._rest()

    def take_turn(self, limit: int) -> None:
        """It is this client's turn among all: let those who wait in it read, as far as it goes."""
        self._earn()
        end = self._moved + limit
        try:
            for _ in range(len(self._waiting)):
                self._serve_first(min(end - self._moved, self._turn_among(1)))
                if not self._waiting or self._moved >= end or self._earn() <= 0:
                    break
        finally:  # a bug in one is not to hold up the others
            self._see_to_the_next()

    def _turn_among(self, count: int) -> int:
        """Return the bytes of a turn: a quantum, or more where so much is there for each."""
        return int(min(max(self._tokens / count, self._quantum), MOST_QUANTUM))

    def _serve_first(self, limit: int) -> None:
        first, _ = self._waiting.popitem(last=False)
        first.take_turn(limit)
        self._rest()

    def _rest(self) -> None:
        """Hold no timer and no place where nobody waits."""
        if not self._waiting:
            self._cancel_timer()
            if self._parent is not None:
                self._parent.leave(self)

    def _earn(self) -> float:
        """Return what there is to spend, with what has come since the last look."""
        if self._rate == inf:
            return inf
        now = self._loop.time()
        self._tokens = min(self._tokens + (now - self._as_of) * self._rate, self._most)
        self._as_of = now
        return self._tokens

    def _see_to_the_next(self) -> None:
        if not self._waiting or self._timer is not None:
            return
        owed = max(-self._earn(), 0)
        if not owed and self._parent is not None:
            self._parent.wait(self)
        else:
            self._timer = self._loop.call_later(max(owed / self._rate, TICK), self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        try:
            if self._parent is None:
                self._serve_all_once()
            elif self._earn() > 0 and (limit := self._parent.allowance()):
                self.take_turn(limit)
        finally:  # as above
            self._see_to_the_next()

    def _serve_all_once(self) -> None:
        """Give each its turn, while there is something to spend.

        Not twice: who was served and has more to read says so only in the loop's next round, and is
        not to lose its place to those who need not.
        """
        self._earn()
        count = len(self._waiting)
        limit = self._turn_among(count)
        for _ in range(count):
            if not self._waiting or self._earn() <= 0:
                break
            self._serve_first(limit)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
