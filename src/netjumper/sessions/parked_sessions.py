"""Parked sessions: their clients are authenticated and may take their time to name a target.

The number of parked sessions per source is limited, so that one client cannot use up every
descriptor.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from netjumper.addressing.source_network import source_of
from netjumper.net.deadlines import Deadlines

ItemT = TypeVar("ItemT")


class ParkedSessions(Generic[ItemT]):
    """The parked sessions of one loop.

    Args:
        loop: the running loop.
        seconds: how long a session can be parked.
        max_per_source: how many sessions from one source can be parked.
        expired: called with a session that has been parked for too long.
    """

    __slots__ = ("_count", "_deadlines", "_max_per_source", "_sources")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        max_per_source: int,
        expired: Callable[[ItemT], None],
    ) -> None:
        self._deadlines = Deadlines(loop, seconds, expired)
        self._max_per_source = max_per_source
        self._sources: dict[ItemT, str] = {}
        self._count: Counter[str] = Counter()

    def add(self, item: ItemT, peer: str) -> bool:
        """Park a session; return False if its source has too many parked already.

        Args:
            item: the session.
            peer: its address, `IP:PORT` or `unix`.
        """
        source = source_of(peer)
        if self._count[source] >= self._max_per_source:
            return False
        self._count[source] += 1
        self._sources[item] = source
        self._deadlines.add(item)
        return True

    def remove(self, item: ItemT) -> None:
        """Remove a session; it need not be parked."""
        source = self._sources.pop(item, None)
        if source is None:
            return
        self._deadlines.remove(item)
        self._count[source] -= 1
        if not self._count[source]:
            del self._count[source]

    def __contains__(self, item: ItemT) -> bool:
        return item in self._sources

    def __len__(self) -> int:
        return len(self._sources)
