"""Bans sources after failed authentications. It takes the time as an argument."""

from dataclasses import dataclass

MAX_BAN_S = 600.0
"""Longest ban in seconds, unless the first one is longer already. It is short, so that a client
whose secret has been corrected does not have to wait for long."""
BAN_MEMORY_S = 3600.0
"""Seconds after which failures and bans are forgotten."""
MAX_BAN_RECORDS = 4096
"""Number of sources that are remembered. One more replaces the one whose last failure is the
oldest."""


@dataclass(slots=True)
class _Record:
    last: float
    """Time of the last failure."""
    since: float
    """Time of the first failure that `failures` counts."""
    failures: int = 0
    """Failures since the last ban, within `BAN_MEMORY_S`."""
    ban_count: int = 0
    until: float = 0.0
    """End of the ban."""


class BanList:
    """The sources of failed authentications. All times are in seconds.

    Args:
        max_failures: number of failures that ban their source; 0 bans none.
        ban_time: duration of a source's first ban; each further ban takes twice as long.
    """

    __slots__ = ("_records", "ban_time", "max_failures")

    def __init__(self, max_failures: int, ban_time: float) -> None:
        self.max_failures = max_failures
        self.ban_time = ban_time
        self._records: dict[str, _Record] = {}

    def is_banned(self, source: str, now: float) -> bool:
        """Return whether connections from a source are refused now."""
        record = self._records.get(source)
        return record is not None and now < record.until

    def has_recent_failure(self, source: str, now: float) -> bool:
        """Return whether an authentication from a source failed within the last hour."""
        record = self._records.get(source)
        return record is not None and now - record.last <= BAN_MEMORY_S

    def record_failure(self, source: str, now: float, *, may_ban: bool = True) -> float:
        """Count a failed authentication.

        Args:
            source: where it came from.
            now: the time.
            may_ban: whether the source can be banned; its failure is remembered in any case.

        Returns:
            For how many seconds the source is banned because of it; 0 is no ban.
        """
        known = self.has_recent_failure(source, now)
        record = self._records[source] if known else _Record(now, now)
        self._records.pop(source, None)
        self._records[source] = record  # at the end: the first one's last failure is the oldest
        if len(self._records) > MAX_BAN_RECORDS:
            del self._records[next(iter(self._records))]
        if not record.failures or now - record.since > BAN_MEMORY_S:
            record.since, record.failures = now, 0
        record.last = now
        record.failures += 1
        if not (may_ban and self.max_failures) or record.failures < self.max_failures:
            return 0.0
        doubled = self.ban_time * 2.0 ** min(record.ban_count, 32)
        seconds = min(doubled, max(self.ban_time, MAX_BAN_S))
        record.failures = 0
        record.ban_count += 1
        record.until = now + seconds
        return seconds
