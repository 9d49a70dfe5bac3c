"""Limits log lines that any peer can cause at will: some are logged, the others are counted.

An access record with a target is never suppressed, nor is a line about the service itself at level
INFO. All other lines are limited by a token bucket for each kind.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from netjumper.access_log import AccessRecord
from netjumper.text import counted

LOG_BURST = 20
"""Lines of one kind that are logged without any pause: enough to show what happens."""
LOG_LINES_PER_S = 5.0
"""Lines of one kind that are logged per second once the burst is used up."""
REPORT_INTERVAL_S = 1.0
"""Seconds between lines that report how many were suppressed."""

CallLater = Callable[[float, Callable[[], None]], asyncio.TimerHandle | None]
"""Calls a callback after a delay in seconds, and returns the timer; returns None if it cannot."""


def _on_running_loop(delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle | None:
    try:
        return asyncio.get_running_loop().call_later(delay, callback)
    except RuntimeError:  # no loop runs; the next record makes the report
        return None


@dataclass(slots=True)
class _Bucket:
    """The token bucket of one kind of line, and the lines of it that were suppressed."""

    tokens: float
    since: float
    suppressed: int = 0
    last: logging.LogRecord | None = None


class RateLimitFilter(logging.Filter):
    """Passes records within the limit, and reports once a second how many were suppressed.

    Args:
        emit: writes a record without asking this filter.
        clock: returns a monotonic time in seconds.
        call_later: sets a timer, because no further record may come after the last suppressed one.
    """

    def __init__(
        self,
        emit: Callable[[logging.LogRecord], None],
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater = _on_running_loop,
    ) -> None:
        super().__init__()
        self._emit = emit
        self._clock = clock
        self._call_later = call_later
        self._buckets: dict[str, _Bucket] = {}
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record must be logged."""
        if self._due is not None and self._clock() >= self._due:
            self.report_suppressed()
        name = _bucket_name(record)
        return name is None or self._take_token(name, record)

    def report_suppressed(self) -> None:
        """Log one line for each kind of line that was suppressed since the last report."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for bucket in self._buckets.values():
            if bucket.last is not None:
                self._emit(_summary(bucket.last, bucket.suppressed))
                bucket.suppressed, bucket.last = 0, None

    def _take_token(self, name: str, record: logging.LogRecord) -> bool:
        now = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(LOG_BURST, now))
        bucket.tokens = min(bucket.tokens + LOG_LINES_PER_S * (now - bucket.since), LOG_BURST)
        bucket.since = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return True
        bucket.suppressed += 1
        bucket.last = record
        if self._due is None:
            self._due = now + REPORT_INTERVAL_S
            self._timer = self._call_later(REPORT_INTERVAL_S, self.report_suppressed)
        return False


def _bucket_name(record: logging.LogRecord) -> str | None:
    """Return the name of a record's bucket, None if it is never suppressed.

    A name is the record's place in the code or the kind of a failure, never text that a peer
    chooses: so there are few buckets.
    """
    message = record.msg
    if isinstance(message, AccessRecord):
        return None if message.target else message.kind
    if record.levelno == logging.INFO or hasattr(record, "never_suppressed"):
        return None
    return f"{record.pathname}:{record.lineno}"


def _summary(last: logging.LogRecord, count: int) -> logging.LogRecord:
    return logging.LogRecord(
        last.name,
        last.levelno,
        last.pathname,
        last.lineno,
        "suppressed %s: %s",
        (counted(count, "similar line"), last.getMessage()),
        None,
    )
