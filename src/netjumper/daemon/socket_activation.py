"""Listening sockets that a service manager opened: socket activation, sd_listen_fds(3)."""

import errno
import os
import socket
from collections.abc import Iterator, MutableMapping
from itertools import repeat

from netjumper.errors import NetjumperError
from netjumper.text import quoted

FIRST_DESCRIPTOR = 3
"""The lowest of the inherited descriptors (SD_LISTEN_FDS_START); the others follow it."""
LISTEN_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
"""The variables of sd_listen_fds(3); they are for this process only."""
UNNAMED = "unknown"
"""The name of a socket without one."""

_FAMILIES = {getattr(socket, name, None) for name in ("AF_INET", "AF_INET6", "AF_UNIX")}


class InheritError(NetjumperError):
    """The inherited descriptors contradict the variables, or cannot be used."""


def inherited_sockets(environ: MutableMapping[str, str]) -> list[tuple[str, socket.socket]]:
    """Take over the sockets that were passed to this process, each with its name.

    Programs that this process starts do not get them: the variables are removed, and the
    descriptors are closed on exec.

    Args:
        environ: the process's environment.

    Returns:
        Listening stream sockets, non-blocking; none if LISTEN_PID is another process.

    Raises:
        InheritError: the variables contradict the descriptors, or one is not a listening TCP or
            unix stream socket.
    """
    pid, count, names, _ = (environ.pop(variable, None) for variable in LISTEN_VARIABLES)
    if pid != str(os.getpid()) or count is None:
        return []
    if not (count.isascii() and count.isdigit() and int(count[:9]) > 0):
        raise InheritError(f"LISTEN_FDS: expected the number of sockets, not {quoted(count)}")
    return list(_sockets(int(count[:9]), names))


def _sockets(count: int, names: str | None) -> Iterator[tuple[str, socket.socket]]:
    named = repeat(UNNAMED, count) if names is None else names.split(":")
    if isinstance(named, list) and len(named) != count:
        raise InheritError(
            f"LISTEN_FDNAMES has {len(named)} names, but LISTEN_FDS says {count} sockets"
        )
    for fd, name in enumerate(named, FIRST_DESCRIPTOR):
        try:
            os.set_inheritable(fd, False)
            sock = socket.socket(fileno=fd)
        except OSError as error:
            reason = "not a socket" if error.errno == errno.ENOTSOCK else "not open"
            raise InheritError(
                f"LISTEN_FDS says {count} sockets, but descriptor {fd} is {reason}"
            ) from None
        if problem := _problem(sock):
            raise InheritError(f"inherited socket {quoted(name)} {problem}")
        sock.setblocking(False)
        yield name, sock


def _problem(sock: socket.socket) -> str:
    if sock.family not in _FAMILIES:
        return "is neither a TCP nor a unix socket"
    if sock.type != socket.SOCK_STREAM:
        return "is not a stream socket; use ListenStream="
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "does not listen; use Accept=no"
    return ""
