"""Many waits of the same length, one timer.

A timer of its own for every connection costs a heap operation to set and another to clear. As
all of them last equally long they end in the order they began, so a dict (which keeps that
order) and a single timer for its first entry do.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class Deadlines(Generic[ItemT]):
    """Calls `expired(item)` for every item that was not removed within `seconds` of its adding."""

    __slots__ = ("_due", "_expired", "_loop", "_seconds", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, expired: Callable[[ItemT], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._expired = expired
        self._due: dict[ItemT, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: ItemT) -> None:
        """Start an item's wait, anew when it is waiting already."""
        due = self._loop.time() + self._seconds
        self._due.pop(item, None)  # it moves to the end: the order is what this all rests on
        self._due[item] = due
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._expire)

    def remove(self, item: ItemT) -> None:
        """End an item's wait; it need not be waiting."""
        self._due.pop(item, None)

    def __contains__(self, item: ItemT) -> bool:
        return item in self._due

    def __len__(self) -> int:
        return len(self._due)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for item, due in self._due.items():
            if due > now:
                self._timer = self._loop.call_at(due, self._expire)
                break
            self._loop.call_soon(self._expire_one, item)

    def _expire_one(self, item: ItemT) -> None:
        # The expiry of an item before it may have ended its wait, or begun it anew.
        if self._due.get(item, inf) <= self._loop.time():
            del self._due[item]
            self._expired(item)
