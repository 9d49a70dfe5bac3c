"""Looks whether the ends that are not read still exist: the loop does not report their loss."""

import asyncio
from collections.abc import Collection
from typing import Protocol

CHECK_INTERVAL_S = 4.0
"""Seconds between two checks; a client that left is noticed within two of them."""


class HasUnreadEnds(Protocol):
    """A session."""

    def check_unread(self) -> None:
        """End if an end that is not read now was reset, or its client has left."""


class UnreadWatch:
    """Checks all sessions regularly, as long as there are any.

    Args:
        loop: the running loop.
        sessions: changes as they come and go.
    """

    __slots__ = ("_loop", "_sessions", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sessions: Collection[HasUnreadEnds]
    ) -> None:
        self._loop = loop
        self._sessions = sessions
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to check: there is a session."""
        if self._timer is None:
            self._timer = self._loop.call_later(CHECK_INTERVAL_S, self._check)

    def _check(self) -> None:
        self._timer = None
        for session in list(self._sessions):
            session.check_unread()
        if self._sessions:
            self.start()
