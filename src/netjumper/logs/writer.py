"""A thread that writes the log, so that a reader who has stopped reading stops nobody else.

A write to a full pipe waits until somebody reads it, and with it would the event loop. The pipe
cannot be made non-blocking either: that would hold for everybody who writes to it. The standard
library's QueueListener writes line by line, ends only when all is written, and knows of no loss.
"""

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterable, Iterator

MAX_QUEUED_BYTES = 1024 * 1024
"""Bytes that wait at most; what comes then is lost."""
BATCH_TIME_S = 0.02
"""Seconds after a write in which lines are collected for the next: under load each time that the
thread wakes it takes the interpreter away from the event loop, which costs more than the line."""
ATOMIC_WRITE_SIZE = 4096
"""Bytes that a pipe takes in one piece (pipe(7), PIPE_BUF), whoever else writes to it."""


class LogWriter:
    """Writes lines in their order, those of one moment together.

    Args:
        fd: where to.
        lost: given a number, returns the line that tells of so many lost lines.
    """

    def __init__(self, fd: int, lost: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._loss_line = lost
        self._changed = threading.Condition(threading.Lock())
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._closing = False
        self._idle = False
        """The thread waits for a line, and is to be told of it."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Have a line written, or count it as lost where too much waits already."""
        with self._changed:
            # Until it is told what was lost, more is lost: it is told once, and in its place.
            if self._dropped or self._size + len(line) > MAX_QUEUED_BYTES:
                self._dropped += 1
                return
            self._size += len(line)
            self._lines.append(line)
            if self._idle:
                self._idle = False
                self._changed.notify()

    def close(self, patience: float) -> None:
        """Write what waits, for `patience` seconds at most; then it is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience)

    def _run(self) -> None:
        while lines := self._next():
            for chunk in _chunks(lines):
                with contextlib.suppress(OSError):  # nobody is there to read it
                    write_all(self._fd, chunk)
            size = sum(map(len, lines))
            with self._changed:
                self._size -= size
                self._changed.wait_for(lambda: self._closing, BATCH_TIME_S)

    def _next(self) -> list[bytes]:
        """Return what is to be written, as soon as there is anything; nothing is the end."""
        with self._changed:
            while not (self._lines or self._dropped or self._closing):
                self._idle = True
                self._changed.wait()
            self._idle = False
            if self._lines:
                lines, self._lines = self._lines, []
                return lines
            lost, self._dropped = self._dropped, 0
            if not lost:
                return []
        line = self._loss_line(lost)
        with self._changed:
            self._size += len(line)
        return [line]


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, however long that takes.

    Raises:
        OSError: it cannot be written.
    """
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # somebody else has made it non-blocking
            select.select([], [fd], [])


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield whole lines together, as many as nobody else's can come between."""
    chunk = b""
    for line in lines:
        if chunk and len(chunk) + len(line) > ATOMIC_WRITE_SIZE:
            yield chunk
            chunk = b""
        chunk += line
    yield chunk
