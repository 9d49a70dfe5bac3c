"""Sources that gave wrong answers are shut out for a while; there is no clock of its own."""

from dataclasses import dataclass

LONGEST = 600.0
"""Seconds that a source is shut out at most: who mends a wrong secret is not to wait for long."""
REMEMBERED = 3600.0
"""Seconds after which wrong answers are forgotten."""
MOST_SOURCES = 4096
"""How many sources are remembered; who was wrong the longest ago is forgotten for another."""


@dataclass(slots=True)
class _Record:
    last: float
    """When it was wrong."""
    since: float
    """When that began to be counted."""
    wrong: int = 0
    """How often, since it was last shut out, within an hour."""
    ban_count: int = 0
    """How often it was shut out."""
    until: float = 0.0


class BanList:
    """The sources of wrong answers. All times are in seconds.

    Args:
        most: wrong answers that shut their source out; 0 shuts nobody out.
        seconds: for how long, the first time; each further time for twice as long.
    """

    __slots__ = ("_records", "most", "seconds")

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        self._records: dict[str, _Record] = {}

    def is_banned(self, source: str, now: float) -> bool:
        """Whether nobody comes in from there now."""
        record = self._records.get(source)
        return record is not None and now < record.until

    def remembers(self, source: str, now: float) -> bool:
        """Whether a wrong answer came from there within the last hour."""
        record = self._records.get(source)
        return record is not None and now - record.last <= REMEMBERED

    def record_failure(self, source: str, now: float) -> float:
        """Count a wrong answer; return the seconds that its source is shut out for it, mostly 0."""
        record = self._records[source] if self.remembers(source, now) else _Record(now, now)
        self._records.pop(source, None)
        self._records[source] = record  # at the end: the first was wrong the longest ago
        if len(self._records) > MOST_SOURCES:
            del self._records[next(iter(self._records))]
        if not record.wrong or now - record.since > REMEMBERED:
            record.since, record.wrong = now, 0
        record.last = now
        record.wrong += 1
        if not self.most or record.wrong < self.most:
            return 0.0
        seconds = min(self.seconds * 2.0 ** min(record.ban_count, 32), max(self.seconds, LONGEST))
        record.wrong = 0
        record.ban_count += 1
        record.until = now + seconds
        return seconds
