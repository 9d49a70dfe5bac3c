"""The handler: one line per event on standard error, in the format that was asked for."""

import contextlib
import logging
import select
import sys
from collections.abc import Iterator
from typing import TextIO

from netjumper.logs.formatters import FORMATTERS, is_journal
from netjumper.logs.rate_limit import RateLimitFilter
from netjumper.logs.terminal import RichFormatter
from netjumper.logs.writer import LogWriter
from netjumper.text import lines_of

FLUSH_TIMEOUT_S = 1.0
"""Seconds that the reader of the log has at the end for what it has not read yet."""


class NonBlockingHandler(logging.StreamHandler[TextIO]):
    """Writes on; a reader that has gone away is no reason to say more.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.rate_limit = RateLimitFilter(self.emit_unfiltered)
        self.addFilter(self.rate_limit)
        self._writer: LogWriter | None = None
        self._blocks = True
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or have it written."""
        if self._writer is not None:
            try:
                self._writer.write(self._line(record))
            except Exception:  # noqa: BLE001 - logging's own way
                self.handleError(record)
        elif self._blocks or is_writable(self.stream):
            lost, self._dropped = self._dropped, 0
            if lost:
                super().emit(_loss_record(lost))
            super().emit(record)
        else:
            self._dropped += 1

    def emit_unfiltered(self, record: logging.LogRecord) -> None:
        """Write a record that no filter is asked about."""
        self.acquire()
        try:
            self.emit(record)
        finally:
            self.release()

    def drop_when_full(self) -> None:
        """Leave out what would have to wait for the reader."""
        self._blocks = False

    @contextlib.contextmanager
    def writer_thread(self) -> Iterator[None]:
        """Have a thread write meanwhile, which is all that then waits for the reader."""
        self.drop_when_full()
        try:
            fd = self.stream.fileno()
        except (OSError, ValueError):  # no file: it never makes anybody wait
            yield
            return
        self._writer = LogWriter(fd, self._loss_line)
        try:
            yield
        finally:
            self.rate_limit.report_suppressed()
            writer, self._writer = self._writer, None
            writer.close(FLUSH_TIMEOUT_S)

    def _line(self, record: logging.LogRecord) -> bytes:
        text = self.format(record) + self.terminator
        return text.encode(self.stream.encoding, self.stream.errors or "strict")

    def _loss_line(self, count: int) -> bytes:
        with self.lock or contextlib.nullcontext():
            return self._line(_loss_record(count))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Pass over a stream that is gone; a formatter's bug is told as always."""
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handleError(record)


def is_writable(stream: TextIO, patience: float = 0.0) -> bool:
    """Whether a line can be written without waiting for whoever reads, in so many seconds."""
    try:
        return bool(select.select([], [stream.fileno()], [], patience)[1])
    except (OSError, ValueError):  # no file, or none that can be asked
        return True


def _loss_record(count: int) -> logging.LogRecord:
    text, number = "the log was not read in time: %s lost here", lines_of(count)
    return logging.LogRecord("netjumper", logging.WARNING, __file__, 0, text, (number,), None)


@contextlib.contextmanager
def nonblocking_logging(*, thread: bool = True) -> Iterator[None]:
    """Have nobody wait for the reader of the log meanwhile.

    Args:
        thread: one may be started; otherwise lines are lost at once when the reader is behind.
    """
    with contextlib.ExitStack() as stack:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, NonBlockingHandler):
                handler.drop_when_full()
                if thread:
                    stack.enter_context(handler.writer_thread())
        yield


def set_up_logging(level: str, style: str, stream: TextIO | None = None) -> RichFormatter | None:
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
    handler = NonBlockingHandler(stream)
    handler.setFormatter(rich or FORMATTERS[style]())
    # What no formatter shows need not be found out for every record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # asyncio tells at this level which selector it uses, and nothing that helps a user.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return rich
