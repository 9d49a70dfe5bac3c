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

LOG_BURST = 20
"""Lines of a kind that are logged, however close together."""
LOG_LINES_PER_S = 5.0
"""Lines of a kind that are logged in each second after that."""
REPORT_INTERVAL_S = 1.0
"""Seconds after which it is told how many were left out."""

CallLater = Callable[[float, Callable[[], None]], asyncio.TimerHandle | None]
"""Given seconds and a callback: calls it then, if it can."""


def _on_running_loop(delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle | None:
    try:
        return asyncio.get_running_loop().call_later(delay, callback)
    except RuntimeError:  # none runs: the next record will do
        return None


@dataclass(slots=True)
class _Bucket:
    """Lines of one kind: how many more may be logged now, and what was left out."""

    tokens: float
    since: float
    suppressed: int = 0
    last: logging.LogRecord | None = None


class RateLimitFilter(logging.Filter):
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
        later: CallLater = _on_running_loop,
    ) -> None:
        super().__init__()
        self._emit = tell
        self._clock = clock
        self._later = later
        self._buckets: dict[str, _Bucket] = {}
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be logged."""
        if self._due is not None and self._clock() >= self._due:
            self.report_suppressed()
        kind = _bucket_name(record)
        return kind is None or self._take_token(kind, record)

    def report_suppressed(self) -> None:
        """Log a line for each kind of which something was left out since the last time."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for kind in self._buckets.values():
            if kind.last is not None:
                self._emit(_summary(kind.last, kind.suppressed))
                kind.suppressed, kind.last = 0, None

    def _take_token(self, name: str, record: logging.LogRecord) -> bool:
        now = self._clock()
        kind = self._buckets.setdefault(name, _Bucket(LOG_BURST, now))
        kind.tokens = min(kind.tokens + LOG_LINES_PER_S * (now - kind.since), LOG_BURST)
        kind.since = now
        if kind.tokens >= 1:
            kind.tokens -= 1
            return True
        kind.suppressed += 1
        kind.last = record
        if self._due is None:
            self._due = now + REPORT_INTERVAL_S
            self._timer = self._later(REPORT_INTERVAL_S, self.report_suppressed)
        return False


def _bucket_name(record: logging.LogRecord) -> str | None:
    """Return what a record is counted with, None where it is not; there are few kinds, ever."""
    message = record.msg
    if isinstance(message, AccessRecord):
        return None if message.target else message.ending.partition(":")[0]
    if record.levelno == logging.INFO or hasattr(record, "never_suppressed"):
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
