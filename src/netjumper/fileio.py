"""Reading files that the user has named, with limits on size and waiting time."""

import errno
import os
import select
import stat
from pathlib import Path

MAX_FILE_BYTES = 1024 * 1024
"""Bytes of the largest file that is read; a larger one is a mistake (`/dev/zero`, a disk image)."""
PIPE_TIMEOUT_S = 60.0
"""Seconds to wait for the program that writes into a pipe: its user may have to type a password."""
_OPEN_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Return the content of a file, and its status.

    A pipe (a shell's `<(...)`, `/dev/stdin`) is read to its end. It is opened without blocking, as
    opening it would otherwise wait until a program writes into it.

    Raises:
        OSError: the file cannot be read; no program writes into the pipe; it is too large.
        ValueError: no file can have such a name.
    """
    fd = os.open(path, os.O_RDONLY | _OPEN_FLAGS)
    try:
        status = os.fstat(fd)
        content = _read_to_end(fd)
    finally:
        os.close(fd)
    if not content and stat.S_ISFIFO(status.st_mode):
        raise OSError(errno.EPIPE, "no program writes into this pipe")
    return content, status


def _read_to_end(fd: int) -> bytes:
    content = b""
    while len(content) <= MAX_FILE_BYTES:
        try:
            piece = os.read(fd, MAX_FILE_BYTES + 1 - len(content))
        except BlockingIOError:
            _wait_for_more(fd)
            continue
        if not piece:
            return content
        content += piece
    raise OSError(errno.EFBIG, f"it is over {MAX_FILE_BYTES} bytes")


def _wait_for_more(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(1000 * PIPE_TIMEOUT_S):
        raise TimeoutError(
            errno.ETIMEDOUT, f"no data came out of this pipe for {PIPE_TIMEOUT_S:g} s"
        )
