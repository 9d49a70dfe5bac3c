"""Lines of the log for files, programs and the journal.

These formatters are on the path of every connection: they build a line out of strings and nothing
else. What comes from the network goes through `printable`, so that it can neither begin a new line
nor speak to the terminal.
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
"""Stands before each further line of an entry, which no entry begins with."""
JOURNAL_PRIORITY = {
    logging.DEBUG: "<7>",
    logging.INFO: "<6>",
    logging.WARNING: "<4>",
    logging.ERROR: "<3>",
    logging.CRITICAL: "<2>",
}
"""What a line for the journal begins with."""


class UtcClock:
    """Times as ISO 8601 in UTC, so that the logs of two machines can be laid side by side."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, seconds: float) -> str:
        """Return the text for `seconds` since the epoch, with milliseconds."""
        second = int(seconds)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._text}.{int((seconds - second) * 1000):03d}Z"


class PlainFormatter(logging.Formatter):
    """`time LEVEL text`."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = UtcClock()

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry as one line, and a line more for each of an exception's."""
        line = f"{self._clock(record.created)} {record.levelname} {printable(record.getMessage())}"
        if record.exc_info:
            more = self.formatException(record.exc_info).splitlines()
            line = "\n".join([line, *(CONTINUATION + printable(text) for text in more)])
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per line, in ASCII; a tunnel's end as fields of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = UtcClock()

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry as JSON."""
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
    """The priority and the text (sd-daemon(3)): the journal has the time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry as one line, and a line more for each of an exception's."""
        priority = JOURNAL_PRIORITY.get(record.levelno, JOURNAL_PRIORITY[logging.INFO])
        line = f"{priority}{printable(record.getMessage())}"
        if record.exc_info:
            more = self.formatException(record.exc_info).splitlines()
            line = "\n".join(
                [line, *(f"{priority}{CONTINUATION}{printable(text)}" for text in more)]
            )
        return line


def is_journal(stream: TextIO) -> bool:
    """Whether a stream leads to systemd's journal (systemd.exec(5), `JOURNAL_STREAM`)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


FORMATTERS = {"journal": JournalFormatter, "json": JsonFormatter, "plain": PlainFormatter}
