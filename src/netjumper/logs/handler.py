"""The log handler: one line per event on standard error, in the requested format."""

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
from netjumper.text import counted

FLUSH_TIMEOUT_S = 1.0
"""Seconds that a process waits at its end for the reader of the log to take the remaining lines."""


class NonBlockingHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream, and ignores a stream whose reader is gone.

    Args:
        stream: the stream that is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.rate_limit = RateLimitFilter(self.emit_unfiltered)
        self.addFilter(self.rate_limit)
        self._writer: LogWriter | None = None
        self._blocks = True
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or pass it to the writer thread if there is one."""
        if self._writer is not None:
            try:
                self._writer.write(self._line(record))
            except Exception:  # noqa: BLE001 - as logging's handlers do
                self.handleError(record)
        elif self._blocks or is_writable(self.stream):
            dropped, self._dropped = self._dropped, 0
            if dropped:
                super().emit(_loss_record(dropped))
            super().emit(record)
        else:
            self._dropped += 1

    def emit_unfiltered(self, record: logging.LogRecord) -> None:
        """Write a record without asking the filters."""
        self.acquire()
        try:
            self.emit(record)
        finally:
            self.release()

    def drop_when_full(self) -> None:
        """Drop a line, and count it, if a write would wait for the reader."""
        self._blocks = False

    @contextlib.contextmanager
    def writer_thread(self) -> Iterator[None]:
        """Write in a thread during the block, so that only this thread waits for the reader."""
        self.drop_when_full()
        try:
            fd = self.stream.fileno()
        except (OSError, ValueError):  # not a file, so a write never waits
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
        """Ignore a stream that is gone; report a formatter's bug as usual."""
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handleError(record)


def is_writable(stream: TextIO, timeout: float = 0.0) -> bool:
    """Return whether a line can be written without waiting for the reader.

    Args:
        stream: the stream; one that is not a file is always writable.
        timeout: seconds to wait until it is.
    """
    try:
        return bool(select.select([], [stream.fileno()], [], timeout)[1])
    except (OSError, ValueError):  # not a file, or one that select does not support
        return True


def _loss_record(count: int) -> logging.LogRecord:
    text, lines = "log reader too slow: %s dropped", counted(count, "line")
    return logging.LogRecord("netjumper", logging.WARNING, __file__, 0, text, (lines,), None)


@contextlib.contextmanager
def nonblocking_logging(*, thread: bool = True) -> Iterator[None]:
    """Ensure that no caller waits for the reader of the log during the block.

    Args:
        thread: whether a thread writes, which holds lines for a slow reader. Without one, a line
            that does not fit into the pipe is dropped immediately.
    """
    with contextlib.ExitStack() as stack:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, NonBlockingHandler):
                handler.drop_when_full()
                if thread:
                    stack.enter_context(handler.writer_thread())
        yield


def set_up_logging(level: str, style: str, stream: TextIO | None = None) -> RichFormatter | None:
    """Set up the root logger; it replaces an earlier setup.

    Args:
        level: the lowest level that is logged.
        style: `plain`, `json`, `rich`, or `auto`: rich on a terminal, plain elsewhere, and
            in systemd's journal plain without the time, which the journal adds.
        stream: the stream that is written to; standard error by default.

    Returns:
        The rich formatter if the style is rich, for the panel at the start.
    """
    stream = stream or sys.stderr
    if style == "auto":
        style = "rich" if stream.isatty() else "journal" if is_journal(stream) else "plain"
    rich = RichFormatter(stream) if style == "rich" else None
    handler = NonBlockingHandler(stream)
    handler.setFormatter(rich or FORMATTERS[style]())
    # No formatter shows these, so logging need not look them up for every record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Below this level asyncio only logs which selector it uses, which does not help a user.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return rich
