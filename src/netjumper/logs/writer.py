"""A thread that writes the log, so that a reader that stopped reading does not stop the service.

A write to a full pipe blocks until something reads from it, and would block the event loop. The
pipe cannot be made non-blocking either: that would affect all processes that write to it. The
standard library's QueueListener writes line by line, cannot end before everything is written, and
cannot drop lines.
"""

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterable, Iterator

MAX_QUEUED_BYTES = 1024 * 1024
"""Bytes of lines that wait to be written, at most; further lines are dropped."""
BATCH_TIME_S = 0.02
"""Seconds after a write in which lines are collected for the next write. Each time the thread wakes
under load, it takes the interpreter lock from the event loop, which costs more than the line."""
ATOMIC_WRITE_SIZE = 4096
"""Bytes that one write puts into a pipe in one piece, even if others write (pipe(7), PIPE_BUF)."""


class LogWriter:
    """Writes lines in order and in batches.

    Args:
        fd: the descriptor that is written to.
        loss_line: returns the line that reports a number of dropped lines.
    """

    def __init__(self, fd: int, loss_line: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._loss_line = loss_line
        self._changed = threading.Condition(threading.Lock())
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._closing = False
        self._idle = False
        """Whether the thread waits for a line and must be notified of it."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue a line, or drop and count it if the queue is full."""
        with self._changed:
            # Further lines are dropped until the loss is reported: so it is reported in its place.
            if self._dropped or self._size + len(line) > MAX_QUEUED_BYTES:
                self._dropped += 1
                return
            self._size += len(line)
            self._lines.append(line)
            if self._idle:
                self._idle = False
                self._changed.notify()

    def close(self, timeout: float) -> None:
        """Write the queued lines, and end the thread.

        Args:
            timeout: seconds after which lines that are not written yet are dropped.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while lines := self._next():
            for chunk in _chunks(lines):
                with contextlib.suppress(OSError):  # the reader is gone
                    write_all(self._fd, chunk)
            size = sum(map(len, lines))
            with self._changed:
                self._size -= size
                self._changed.wait_for(lambda: self._closing, BATCH_TIME_S)

    def _next(self) -> list[bytes]:
        """Wait for lines to write and return them; return none at the end."""
        with self._changed:
            while not (self._lines or self._dropped or self._closing):
                self._idle = True
                self._changed.wait()
            self._idle = False
            if self._lines:
                lines, self._lines = self._lines, []
                return lines
            dropped, self._dropped = self._dropped, 0
            if not dropped:
                return []
        line = self._loss_line(dropped)
        with self._changed:
            self._size += len(line)
        return [line]


def write_all(fd: int, data: bytes) -> None:
    """Write all data, and block until that is done.

    Raises:
        OSError: the write failed.
    """
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # another process made it non-blocking
            select.select([], [fd], [])


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join whole lines to chunks that no line of another process can interrupt."""
    chunk = b""
    for line in lines:
        if chunk and len(chunk) + len(line) > ATOMIC_WRITE_SIZE:
            yield chunk
            chunk = b""
        chunk += line
    yield chunk
