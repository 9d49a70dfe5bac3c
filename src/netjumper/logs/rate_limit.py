"""Lines that strangers can cause as often as they like: some are logged, the others are counted.

A tunnel's own line, which has a target, is never left out, and neither is what is told of the
service itself at the level INFO. Of everything else each kind has a bucket of its own.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from netjumper.access_log import AccessRecord
from netjumper.text import lines_of

BURST = 20
"""Lines of a kind that are logged, however close together."""
RATE = 5.0
"""Lines of a kind that are logged in each second after that."""
PERIOD = 1.0
"""Seconds after which it is told how many were left out."""

Later = Callable[[float, Callable[[], None]], asyncio.TimerHandle | None]
"""Given seconds and a callback: calls it then, if it can."""


def _in_the_loop(delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle | None:
    try:
        return asyncio.get_running_loop().call_later(delay, callback)
    except RuntimeError:  # none runs: the next record will do
        return None


@dataclass(slots=True)
class _Kind:
    """Lines of one kind: how many more may be logged now, and what was left out."""

    room: float
    since: float
    left_out: int = 0
    last: logging.LogRecord | None = None


class FloodFilter(logging.Filter):
    """Passes what there is room for, and tells once a second how much was left out.

    Args:
        tell: logs a record, whatever this filter thinks of it.
        clock: seconds that never go back.
        later: has something called later, as a flood may be over with its last line.
    """

    def __init__(
        self,
        tell: Callable[[logging.LogRecord], None],
        clock: Callable[[], float] = time.monotonic,
        later: Later = _in_the_loop,
    ) -> None:
        super().__init__()
        self._tell = tell
        self._clock = clock
        self._later = later
        self._kinds: dict[str, _Kind] = {}
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be logged."""
        if self._due is not None and self._clock() >= self._due:
            self.tell_left_out()
        kind = _kind_of(record)
        return kind is None or self._has_room(kind, record)

    def tell_left_out(self) -> None:
        """Log a line for each kind of which something was left out since the last time."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for kind in self._kinds.values():
            if kind.last is not None:
                self._tell(_summary(kind.last, kind.left_out))
                kind.left_out, kind.last = 0, None

    def _has_room(self, name: str, record: logging.LogRecord) -> bool:
        now = self._clock()
        kind = self._kinds.setdefault(name, _Kind(BURST, now))
        kind.room = min(kind.room + RATE * (now - kind.since), BURST)
        kind.since = now
        if kind.room >= 1:
            kind.room -= 1
            return True
        kind.left_out += 1
        kind.last = record
        if self._due is None:
            self._due = now + PERIOD
            self._timer = self._later(PERIOD, self.tell_left_out)
        return False


def _kind_of(record: logging.LogRecord) -> str | None:
    """Return what a record is counted with, None where it is not; there are few kinds, ever."""
    message = record.msg
    if isinstance(message, AccessRecord):
        return None if message.target else message.ending.partition(":")[0]
    if record.levelno == logging.INFO or hasattr(record, "always_told"):
        return None
    return f"{record.pathname}:{record.lineno}"


def _summary(last: logging.LogRecord, count: int) -> logging.LogRecord:
    return logging.LogRecord(
        last.name,
        last.levelno,
        last.pathname,
        last.lineno,
        "left out %s like: %s",
        (lines_of(count), last.getMessage()),
        None,
    )
