"""Many timeouts of the same length with one timer.

A timer for each connection costs one heap operation to set and another to cancel. Timeouts of equal
length end in the order in which they began. So a dict, which keeps that order, and one timer for
its first entry are enough.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class Deadlines(Generic[ItemT]):
    """Calls `expired(item)` for each item that is not removed within `seconds` after it was
    added."""

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
        """Start an item's timeout; restart it if it is running."""
        due = self._loop.time() + self._seconds
        self._due.pop(item, None)  # it moves to the end: the dict must stay in order
        self._due[item] = due
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._expire)

    def remove(self, item: ItemT) -> None:
        """Cancel an item's timeout; it need not be running."""
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
        # An earlier item's `expired` may have cancelled or restarted this one.
        if self._due.get(item, inf) <= self._loop.time():
            del self._due[item]
            self._expired(item)
