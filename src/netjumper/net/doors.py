"""Several places to listen, opened all or none, for one process or for several."""

import contextlib
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from netjumper.addressing.listen_address import ListenAddress
from netjumper.net.listening import BACKLOG, ListenError, Place, bound_address, open_listeners
from netjumper.net.options import DEFAULTS, SocketOptions

_ALIKE = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
)
"""What parts of one socket have in common, beside the options."""


def open_doors(
    doors: Sequence[tuple[str, Place]], options: SocketOptions = DEFAULTS
) -> list[list[socket.socket]]:
    """Return the listening sockets of each door, in the doors' order.

    Args:
        doors: the name and the place of each.
        options: of TCP sockets.

    Raises:
        ListenError: one cannot be had; it says which door's. Then there is none at all.
    """
    opened: list[list[socket.socket]] = []
    for name, place in doors:
        try:
            opened.append(_open(place, doors, options))
        except ListenError as error:
            error.door = name
            for (_, before), socks in zip(doors, opened, strict=False):
                _close(before, socks)
            raise
    return opened


def _close(place: Place, socks: Sequence[socket.socket]) -> None:
    for sock in socks:
        sock.close()
    if isinstance(place, ListenAddress) and place.path:
        Path(place.path).unlink(missing_ok=True)


def _open(
    place: Place, doors: Sequence[tuple[str, Place]], options: SocketOptions
) -> list[socket.socket]:
    if isinstance(place, socket.socket):
        options.set_listening(place)
        return [place]
    # 0.0.0.0 with that port is another door's: [::] is for IPv6 only.
    every_ipv4 = ListenAddress("0.0.0.0", place.port)  # noqa: S104 - compared, not bound
    dual_stack = all(other != every_ipv4 for _, other in doors)
    return open_listeners(place, dual_stack=dual_stack, options=options)


def in_parts(sock: socket.socket, count: int, options: SocketOptions) -> list[socket.socket]:
    """Return sockets that the kernel spreads one listening socket's connections over.

    Each has a queue of its own (SO_REUSEPORT). The first is `sock`: it was bound without that, so
    another program that listens there already has been noticed. A unix socket has no parts, nor
    has any where the kernel does not spread.

    Args:
        sock: listens, and is nobody else's.
        count: how many parts there are to be, 1 or more.
        options: of TCP sockets.

    Raises:
        ListenError: the system refuses; `sock` is still there, and none of the others.
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


def another_part(sock: socket.socket, options: SocketOptions) -> socket.socket:
    """Return one more socket that the kernel spreads connections over, as `in_parts` does.

    Args:
        sock: one of them.
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
