"""Clients that are parked: let in, and allowed to take their time over naming a target.

That each client may have only so many keeps one of them from holding every descriptor.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from netjumper.addressing.source_network import source_of
from netjumper.net.deadlines import Deadlines

ItemT = TypeVar("ItemT")


class ParkedSessions(Generic[ItemT]):
    """The connections of parked clients.

    Args:
        loop: the running loop.
        seconds: how long one may wait.
        most: how many of them one client may have.
        expired: called with one that has waited for too long.
    """

    __slots__ = ("_count", "_deadlines", "_most", "_who")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        most: int,
        expired: Callable[[ItemT], None],
    ) -> None:
        self._deadlines = Deadlines(loop, seconds, expired)
        self._most = most
        self._who: dict[ItemT, str] = {}
        self._count: Counter[str] = Counter()

    def add(self, item: ItemT, peer: str) -> bool:
        """Park a connection; False where its client has too many parked already.

        Args:
            item: the connection.
            peer: its address, `IP:PORT` or `unix`.
        """
        who = source_of(peer)
        if self._count[who] >= self._most:
            return False
        self._count[who] += 1
        self._who[item] = who
        self._deadlines.add(item)
        return True

    def remove(self, item: ItemT) -> None:
        """It is parked no longer; it need not have been."""
        who = self._who.pop(item, None)
        if who is None:
            return
        self._deadlines.remove(item)
        self._count[who] -= 1
        if not self._count[who]:
            del self._count[who]

    def __contains__(self, item: ItemT) -> bool:
        return item in self._who

    def __len__(self) -> int:
        return len(self._who)
