"""What stands in a file that a person has named: not for ever more of it, and no wait for ever."""

import errno
import os
import select
import stat
from pathlib import Path

MAX_SIZE = 1024 * 1024
"""Bytes that are read of any file; more is a mistake (`/dev/zero`, a disk image)."""
PATIENCE = 60.0
"""Seconds that who writes into a pipe may be silent: a person may have to type a password first."""
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def read_file(path: Path) -> tuple[bytes, int]:
    """Return what is in a file, and its mode (`st_mode`).

    A pipe that somebody writes into (a shell's `<(...)`, `/dev/stdin`) is read to its end. To open
    one the ordinary way is to wait for such a somebody.

    Raises:
        OSError: it cannot be read: nobody writes into the pipe, say, or there is too much in it.
        ValueError: no file can have such a name.
    """
    fd = os.open(path, os.O_RDONLY | _AT_ONCE)
    try:
        mode = os.fstat(fd).st_mode
        content = _read_up(fd)
    finally:
        os.close(fd)
    if not content and stat.S_ISFIFO(mode):
        raise OSError(errno.EPIPE, "nothing is written into that pipe")
    return content, mode


def _read_up(fd: int) -> bytes:
    content = b""
    while len(content) <= MAX_SIZE:
        try:
            piece = os.read(fd, MAX_SIZE + 1 - len(content))
        except BlockingIOError:
            _wait_for_more(fd)
            continue
        if not piece:
            return content
        content += piece
    raise OSError(errno.EFBIG, f"it is over {MAX_SIZE} bytes")


def _wait_for_more(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(1000 * PATIENCE):
        raise TimeoutError(errno.ETIMEDOUT, f"nothing came out of it for {PATIENCE:g} s")
