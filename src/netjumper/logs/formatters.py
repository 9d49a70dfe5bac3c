"""Formatters of log lines for files, programs and the journal.

These formatters run for every connection, so they only join strings. Text from the network goes
through `printable`, so that it can neither begin a new line nor send a command to the terminal.
"""

import json
import logging
import os
import time
from dataclasses import fields
from operator import attrgetter
from typing import TextIO

from netjumper.access_log import AccessRecord
from netjumper.text import printable

_ACCESS_FIELDS = tuple(field.name for field in fields(AccessRecord))
_ACCESS_VALUES = attrgetter(*_ACCESS_FIELDS)
_ENCODE = json.JSONEncoder(separators=(",", ":"), default=str).encode
CONTINUATION = "  | "
"""Prefix of each further line of an entry. No entry begins with it."""
JOURNAL_PRIORITY = {
    logging.DEBUG: "<7>",
    logging.INFO: "<6>",
    logging.WARNING: "<4>",
    logging.ERROR: "<3>",
    logging.CRITICAL: "<2>",
}
"""Prefix of a line for the journal, by level: a syslog priority (sd-daemon(3))."""


class UtcClock:
    """Formats times as ISO 8601 in UTC, so that the logs of two machines can be compared."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, seconds: float) -> str:
        """Return the text for a time with milliseconds.

        Args:
            seconds: the time in seconds since the epoch.
        """
        second = int(seconds)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._text}.{int((seconds - second) * 1000):03d}Z"


class PlainFormatter(logging.Formatter):
    """Formats a record as `time LEVEL text`."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = UtcClock()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, plus one line for each line of a traceback."""
        line = f"{self._clock(record.created)} {record.levelname} {printable(record.getMessage())}"
        if record.exc_info:
            traceback = self.formatException(record.exc_info).splitlines()
            line = "\n".join([line, *(CONTINUATION + printable(text) for text in traceback)])
        return line


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON in ASCII; an access record's fields are keys of it."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = UtcClock()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a JSON object."""
        entry: dict[str, object] = {
            "time": self._clock(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if isinstance(record.msg, AccessRecord):
            entry.update(zip(_ACCESS_FIELDS, _ACCESS_VALUES(record.msg), strict=True))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _ENCODE(entry)


class JournalFormatter(logging.Formatter):
    """Formats a record as priority and text (sd-daemon(3)); the journal adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, plus one line for each line of a traceback."""
        priority = JOURNAL_PRIORITY.get(record.levelno, JOURNAL_PRIORITY[logging.INFO])
        line = f"{priority}{printable(record.getMessage())}"
        if record.exc_info:
            prefix = priority + CONTINUATION
            traceback = self.formatException(record.exc_info).splitlines()
            line = "\n".join([line, *(prefix + printable(text) for text in traceback)])
        return line


def is_journal(stream: TextIO) -> bool:
    """Return whether a stream writes to systemd's journal (systemd.exec(5), `JOURNAL_STREAM`)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


FORMATTERS = {"journal": JournalFormatter, "json": JsonFormatter, "plain": PlainFormatter}
"""Formatter classes by the name of the format, without `rich`, which needs the terminal."""
