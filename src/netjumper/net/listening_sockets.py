"""Opens listening sockets, TCP and unix."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from netjumper.addressing.address import ip_literal
from netjumper.addressing.listen_address import ListenAddress
from netjumper.errors import NetjumperError
from netjumper.net.socket_options import DEFAULTS, SocketOptions

BACKLOG = 65535
"""The system reduces it to what it allows. When a short queue is full, the kernel uses SYN cookies;
a connection whose last handshake packet it then drops never gets the server's first bytes."""

_NOT_OURS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_TCP_REASONS = {
    errno.EADDRINUSE: "another program listens there; stop it or choose another port",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "permission denied; ports below 1024 need privileges",
}
_UNIX_REASONS = {
    errno.EADDRINUSE: "another program listens there, or the file is not a socket",
}


class ListenError(NetjumperError, OSError):
    """A listening socket could not be opened."""

    listener = ""
    """The name of the listener that the socket is for; empty if it has none."""


ListenTarget = ListenAddress | socket.socket
"""An address to listen at, or a listening socket that another process opened."""


def bound_address(sock: socket.socket) -> ListenAddress:
    """Return the address of a listening socket; `@` begins the name of an abstract unix socket."""
    if sock.family != socket.AF_UNIX:
        return ListenAddress(*sock.getsockname()[:2])
    name = sock.getsockname()
    return ListenAddress("", 0, "@" + os.fsdecode(name[1:]) if isinstance(name, bytes) else name)


def listen_on(
    address: ListenAddress, *, dual_stack: bool = True, options: SocketOptions = DEFAULTS
) -> list[socket.socket]:
    """Return listening sockets: one, or one for each address of a name.

    Args:
        address: where to listen.
        dual_stack: `[::]` is every address of both families, not of IPv6 only.
        options: of TCP sockets.

    Raises:
        ListenError: the address is in use, not of this machine, or not permitted.
    """
    if address.path:
        return [_listen_unix(address)]
    host = address.host
    if host == "::" and dual_stack and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - the caller wants all addresses
    try:
        infos = socket.getaddrinfo(
            host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror}") from None
    if address.is_local and not all(_is_loopback(info[4]) for info in infos):
        raise ListenError(
            f"cannot listen on {address}: the name has an address that is not loopback"
        )
    socks: list[socket.socket] = []
    failures: list[ListenError] = []
    for family, sockaddr in dict.fromkeys((info[0], info[4]) for info in infos):
        try:
            sock = _new_socket(address, family, options)
            socks.append(_listen_tcp(sock, address, sockaddr, dual_stack))
        except ListenError as error:
            failures.append(error)
    # "localhost" is ::1 as well, even without IPv6: one address of a name is enough.
    fatal = [error for error in failures if not socks or error.errno not in _NOT_OURS]
    if fatal:
        for sock in socks:
            sock.close()
        raise fatal[0]
    return socks


def _is_loopback(sockaddr: tuple[object, ...]) -> bool:
    literal = ip_literal(str(sockaddr[0]))
    return literal is not None and literal.is_loopback


def _listen_tcp(
    sock: socket.socket, address: ListenAddress, sockaddr: tuple[object, ...], dual_stack: bool
) -> socket.socket:
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            # ":PORT" is both families, as in the original; a given address is that one only.
            only = 0 if address.host == "::" and dual_stack else 1
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sock.setblocking(False)
        sock.bind(sockaddr)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _cannot_listen(address, error) from None
    return sock


def _listen_unix(address: ListenAddress) -> socket.socket:
    _remove_stale(address.path)
    sock = _new_socket(address, socket.AF_UNIX)
    try:
        sock.setblocking(False)
        with _closed_to_others():
            sock.bind(address.path)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _cannot_listen(address, error) from None
    return sock


@contextlib.contextmanager
def _closed_to_others() -> Iterator[None]:
    """Create files for their owner only, and for their group if the umask allows it.

    A process can connect only if it may write to the socket's file. chmod(2) would be too late.
    """
    before = os.umask(0o077)
    os.umask(before | 0o007)
    try:
        yield
    finally:
        os.umask(before)


def _new_socket(
    address: ListenAddress, family: int, options: SocketOptions = DEFAULTS
) -> socket.socket:
    try:
        return options.listening_socket(family)
    except OSError as error:
        raise _cannot_listen(address, error) from None


def _remove_stale(path: str) -> None:
    """Remove a socket file without a listener: a killed process leaves it."""
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)  # the queue of a listener may be full
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()


def _cannot_listen(address: ListenAddress, error: OSError) -> ListenError:
    reasons = _UNIX_REASONS if address.path else _TCP_REASONS
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    failure = ListenError(f"cannot listen on {address}: {reason}")
    failure.errno = error.errno
    return failure


class SocketFile:
    """The file of a listening unix socket.

    Args:
        path: its path; empty is none.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._inode = Path(path).stat().st_ino if path else 0

    def remove(self) -> None:
        """Remove the file, unless another program has replaced it."""
        with contextlib.suppress(OSError):
            if self._path and Path(self._path).stat().st_ino == self._inode:
                Path(self._path).unlink()


def open_listeners(
    listeners: Sequence[tuple[str, ListenTarget]], options: SocketOptions = DEFAULTS
) -> list[list[socket.socket]]:
    """Return the listening sockets of each listener, in the order of the listeners.

    Args:
        listeners: each listener's name, with an address or an open socket.
        options: of the TCP sockets.

    Raises:
        ListenError: one cannot be opened; it names the listener. All others are closed.
    """
    opened: list[list[socket.socket]] = []
    for name, target in listeners:
        try:
            opened.append(_open(target, listeners, options))
        except ListenError as error:
            error.listener = name
            for (_, before), socks in zip(listeners, opened, strict=False):
                _close(before, socks)
            raise
    return opened


def _close(target: ListenTarget, socks: Sequence[socket.socket]) -> None:
    for sock in socks:
        sock.close()
    if isinstance(target, ListenAddress) and target.path:
        Path(target.path).unlink(missing_ok=True)


def _open(
    target: ListenTarget, listeners: Sequence[tuple[str, ListenTarget]], options: SocketOptions
) -> list[socket.socket]:
    if isinstance(target, socket.socket):
        options.set_listening(target)
        return [target]
    # If another listener has this port on 0.0.0.0, [::] is for IPv6 only.
    every_ipv4 = ListenAddress("0.0.0.0", target.port)  # noqa: S104 - compared, not bound
    dual_stack = all(other != every_ipv4 for _, other in listeners)
    return listen_on(target, dual_stack=dual_stack, options=options)
