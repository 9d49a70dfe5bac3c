"""Groups of listening sockets that the kernel spreads connections over (SO_REUSEPORT)."""

import contextlib
import socket
import sys

from netjumper.net.listening_sockets import BACKLOG, ListenError, bound_address
from netjumper.net.socket_options import SocketOptions

_ALIKE = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
)
"""Options that all sockets of a group have, beside those of the settings."""


def reuseport_group(sock: socket.socket, count: int, options: SocketOptions) -> list[socket.socket]:
    """Return a group of sockets over which the kernel spreads connections to one address.

    Each has a queue of its own (SO_REUSEPORT). The first is `sock`; it was bound without that
    option, so another program that listens there was noticed. The group of a unix socket has one
    member, and so has any group on a system that does not spread connections.

    Args:
        sock: listens, and was opened by this process.
        count: the size of the group, at least 1.
        options: of TCP sockets.

    Raises:
        ListenError: the system refuses; `sock` stays open, and all others are closed.
    """
    if sys.platform != "linux" or sock.family == socket.AF_UNIX:
        return [sock]
    with contextlib.ExitStack() as made:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            others = [made.enter_context(_another(sock, options)) for _ in range(count - 1)]
        except OSError as error:
            raise _cannot(sock, error) from None
        made.pop_all()
    return [sock, *others]


def add_to_group(sock: socket.socket, options: SocketOptions) -> socket.socket:
    """Return one more socket for the group that `sock` is in.

    Args:
        sock: a member of the group.
        options: of TCP sockets.

    Raises:
        ListenError: the system refuses.
    """
    try:
        return _another(sock, options)
    except OSError as error:
        raise _cannot(sock, error) from None


def _cannot(sock: socket.socket, error: OSError) -> ListenError:
    return ListenError(f"cannot listen on {bound_address(sock)}: {error.strerror}")


def _another(sock: socket.socket, options: SocketOptions) -> socket.socket:
    made = options.listening_socket(sock.family)
    try:
        for level, name in _ALIKE:
            if level != socket.IPPROTO_IPV6 or sock.family == socket.AF_INET6:
                made.setsockopt(level, name, sock.getsockopt(level, name))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.setblocking(False)
        made.bind(sock.getsockname())
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made
