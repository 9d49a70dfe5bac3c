"""Reading files that the user has named, with limits on size and waiting time."""

import errno
import os
import select
import stat
from pathlib import Path

MAX_FILE_BYTES = 1024 * 1024
"""Bytes of the largest file that is read; a larger one is a mistake (`/dev/zero`, a disk image)."""
SECRET_MOUNTS = (Path("/run/secrets"), Path("/var/run/secrets"))
"""Where container engines mount a container's secrets; the second is a link to the first."""
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


def without_newline(content: bytes) -> bytes:
    """Return the content of a secret's file without the one newline that editors add at the end."""
    return content.removesuffix(b"\n").removesuffix(b"\r")


def is_shared(path: Path, status: os.stat_result) -> bool:
    """Whether others can read or change a file that is private."""
    return _is_checked(path) and bool(stat.S_IMODE(status.st_mode) & 0o077)


def is_foreign(path: Path, status: os.stat_result) -> bool:
    """Whether a private file belongs to another user than this one and root, who can change it."""
    return _is_checked(path) and status.st_uid not in (os.geteuid(), 0)


def _is_checked(path: Path) -> bool:
    return os.name == "posix" and not _is_mounted_secret(path)


def _is_mounted_secret(path: Path) -> bool:
    """Whether the file is in a directory that only this container, or this service, can see.

    Container engines mount secrets below `/run/secrets` with modes that let all read them; systemd
    creates a directory for a service's credentials (systemd.exec(5), "CREDENTIALS") and names it in
    a variable.
    """
    places = [*SECRET_MOUNTS]
    if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
        places.append(Path(credentials))
    # The directory of the mount counts, not the target of a link in it: Kubernetes makes links.
    # After a link, `..` may leave the directory.
    directory = path.absolute().parent
    return ".." not in path.parts and any(directory.is_relative_to(place) for place in places)


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
