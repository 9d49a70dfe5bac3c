"""Logging: one line per event on standard error, plain or JSON; rich is in `console`.

These formatters are on the path of every connection: they build a line out of strings and
nothing else. What comes from the network goes through `printable`, so that it can neither
begin a new line nor speak to the terminal.
"""

import contextlib
import json
import logging
import os
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from operator import attrgetter
from typing import TextIO

from netjumper.access_log import AccessRecord
from netjumper.cli.flood import FloodFilter
from netjumper.cli.log_writer import LogWriter
from netjumper.console import RichFormatter
from netjumper.text import lines_of, printable

_END_FIELDS = tuple(field.name for field in fields(AccessRecord))
_END_VALUES = attrgetter(*_END_FIELDS)
_ENCODE = json.JSONEncoder(separators=(",", ":"), default=str).encode

CONTINUED = "  | "
"""Stands before each further line of an entry, which no entry begins with."""


PATIENCE = 1.0
"""Seconds that the reader of the log has at the end for what it has not read yet."""

PRIORITY = {
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
            line = "\n".join([line, *(CONTINUED + printable(text) for text in more)])
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
            entry.update(zip(_END_FIELDS, _END_VALUES(record.msg), strict=True))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _ENCODE(entry)


class JournalFormatter(logging.Formatter):
    """The priority and the text (sd-daemon(3)): the journal has the time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry as one line, and a line more for each of an exception's."""
        priority = PRIORITY.get(record.levelno, PRIORITY[logging.INFO])
        line = f"{priority}{printable(record.getMessage())}"
        if record.exc_info:
            more = self.formatException(record.exc_info).splitlines()
            line = "\n".join([line, *(f"{priority}{CONTINUED}{printable(text)}" for text in more)])
        return line


def is_journal(stream: TextIO) -> bool:
    """Whether a stream leads to systemd's journal (systemd.exec(5), `JOURNAL_STREAM`)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class QuietHandler(logging.StreamHandler[TextIO]):
    """Writes on; a reader that has gone away is no reason to say more.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.flood = FloodFilter(self.emit_all_the_same)
        self.addFilter(self.flood)
        self._writer: LogWriter | None = None
        self._waits = True
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or have it written."""
        if self._writer is not None:
            try:
                self._writer.write(self._line(record))
            except Exception:  # noqa: BLE001 - logging's own way
                self.handleError(record)
        elif self._waits or has_room(self.stream):
            lost, self._lost = self._lost, 0
            if lost:
                super().emit(_loss(lost))
            super().emit(record)
        else:
            self._lost += 1

    def emit_all_the_same(self, record: logging.LogRecord) -> None:
        """Write a record that no filter is asked about."""
        self.acquire()
        try:
            self.emit(record)
        finally:
            self.release()

    def never_wait(self) -> None:
        """Leave out what would have to wait for the reader."""
        self._waits = False

    @contextlib.contextmanager
    def in_a_thread(self) -> Iterator[None]:
        """Have a thread write meanwhile, which is all that then waits for the reader."""
        self.never_wait()
        try:
            fd = self.stream.fileno()
        except (OSError, ValueError):  # no file: it never makes anybody wait
            yield
            return
        self._writer = LogWriter(fd, self._told_lost)
        try:
            yield
        finally:
            self.flood.tell_left_out()
            writer, self._writer = self._writer, None
            writer.close(PATIENCE)

    def _line(self, record: logging.LogRecord) -> bytes:
        text = self.format(record) + self.terminator
        return text.encode(self.stream.encoding, self.stream.errors or "strict")

    def _told_lost(self, count: int) -> bytes:
        with self.lock or contextlib.nullcontext():
            return self._line(_loss(count))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Pass over a stream that is gone; a formatter's bug is told as always."""
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handleError(record)


def has_room(stream: TextIO, patience: float = 0.0) -> bool:
    """Whether a line can be written without waiting for whoever reads, in so many seconds."""
    try:
        return bool(select.select([], [stream.fileno()], [], patience)[1])
    except (OSError, ValueError):  # no file, or none that can be asked
        return True


def _loss(count: int) -> logging.LogRecord:
    text, number = "the log was not read in time: %s lost here", lines_of(count)
    return logging.LogRecord("netjumper", logging.WARNING, __file__, 0, text, (number,), None)


@contextlib.contextmanager
def never_waiting(*, thread: bool = True) -> Iterator[None]:
    """Have nobody wait for the reader of the log meanwhile.

    Args:
        thread: one may be started; otherwise lines are lost at once when the reader is behind.
    """
    with contextlib.ExitStack() as stack:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, QuietHandler):
                handler.never_wait()
                if thread:
                    stack.enter_context(handler.in_a_thread())
        yield


_FORMATTERS = {"journal": JournalFormatter, "json": JsonFormatter, "plain": PlainFormatter}


def set_up(level: str, style: str, stream: TextIO | None = None) -> RichFormatter | None:
    """Have everything logged from here on.

    Args:
        level: the least that is logged.
        style: `plain`, `json`, `rich`, or `auto`: rich on a terminal, plain elsewhere, and
            in systemd's journal plain without the time, which the journal has.
        stream: where to; standard error by default.

    Returns:
        The rich formatter if that is what it came to, for the panel at the start.
    """
    stream = stream or sys.stderr
    if style == "auto":
        style = "rich" if stream.isatty() else "journal" if is_journal(stream) else "plain"
    rich = RichFormatter(stream) if style == "rich" else None
    handler = QuietHandler(stream)
    handler.setFormatter(rich or _FORMATTERS[style]())
    # What no formatter shows need not be found out for every record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # asyncio tells at this level which selector it uses, and nothing that helps a user.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return rich
