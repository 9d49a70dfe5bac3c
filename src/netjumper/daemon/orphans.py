"""Reaps orphans: in a container the first process becomes the parent of each of them.

A program that a health check or `exec` has started may leave children behind. They stay zombies,
and use up process ids, until their new parent waits for them.
"""

import contextlib
import os
from collections.abc import Callable, Collection
from typing import Protocol

INIT = 1
"""The process id of the first process of a container."""
REAP_INTERVAL_S = 2.0


class Timers(Protocol):
    """A loop, or another source of timers."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> object:
        """Call `callback` after that many seconds."""


def reap_orphans(timers: Timers, own_children: Callable[[], Collection[int]] = tuple) -> None:
    """Reap orphans from now on, every `REAP_INTERVAL_S`; nothing if this is not the first process.

    Args:
        timers: calls this again.
        own_children: returns the ids of the processes that this one waits for itself.
    """
    if os.getpid() != INIT:
        return
    with contextlib.suppress(ChildProcessError):  # there is no child at all
        while (ended := _ended_child()) and ended not in own_children():
            os.waitpid(ended, 0)
    timers.call_later(REAP_INTERVAL_S, lambda: reap_orphans(timers, own_children))


def _ended_child() -> int:
    """Return the id of a child that has ended, without reaping it; 0 if there is none."""
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return 0 if ended is None else ended.si_pid
