"""The accept loop.

If accepting fails for a reason that is not the connection's own, for example a lack of descriptors
or memory, it stops for a second: the connection stays in the kernel's queue, and trying again at
once would only use up the processor.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from math import inf

from netjumper.addressing.address import Address, ip_literal, without_ipv4_mapping
from netjumper.dial_errors import OUT_OF_RESOURCES
from netjumper.net.endpoint import Endpoint, MakeEndpoint
from netjumper.net.listening_sockets import SocketFile, bound_address

ACCEPT_PAUSE_S = 1.0
"""Seconds without accepting after such a failure; it is logged once in that time."""
ACCEPT_BATCH = 64
"""Connections accepted before other events get their turn."""

_CONNECTIONS_OWN = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED", "ENETDOWN", "EPROTO", "ENOPROTOOPT", "EHOSTDOWN", "ENONET",
        "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""Errors of the connection that accept(2) took from its queue ("Error handling" there)."""

_LOG = logging.getLogger("netjumper")

Accepted = Callable[[Endpoint, str], None]
"""Is called with an accepted connection and its peer's address."""


class AcceptErrorLog:
    """Logs failures to accept: one line in each pause, for all listeners of the process."""

    def __init__(self) -> None:
        self._next = -inf

    def tell(self, now: float, address: str, error: OSError) -> None:
        """Log a failure, unless one was logged just now.

        Args:
            now: the time in monotonic seconds.
            address: the listener's address.
            error: the failure.
        """
        if now >= self._next:
            self._next = now + ACCEPT_PAUSE_S
            reason = error.strerror or error
            _LOG.error(
                "cannot accept connections on %s for %g s: %s", address, ACCEPT_PAUSE_S, reason
            )


_ACCEPT_ERRORS = AcceptErrorLog()


class Listener:
    """Accepts connections on one listening socket until it is closed.

    Args:
        loop: the running loop.
        sock: listening, non-blocking; owned from here on.
        accepted: called with each connection.
        removes_file: remove a unix socket's file at the end.
        endpoint: makes an endpoint of an accepted socket.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        accepted: Accepted,
        *,
        removes_file: bool = True,
        endpoint: MakeEndpoint = Endpoint,
    ) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._sock = sock
        self._accepted = accepted
        address = bound_address(sock)
        self._port = address.port
        self._host = ip_literal(address.host)
        self._file = SocketFile(address.path if removes_file else "")
        self._pause: asyncio.TimerHandle | None = None
        self.address = str(address)
        """The address, with the port that the system chose."""
        self._resume()

    @property
    def port(self) -> int:
        """The TCP port; 0 for a unix socket."""
        return self._port

    def listens_at(self, ip: str, port: int) -> bool:
        """Return whether a connection to an address would be accepted here."""
        ours, theirs = self._host, ip_literal(ip)
        if ours is None or theirs is None or port != self._port:
            return False
        if theirs.version == 6 and theirs.ipv4_mapped:
            theirs = theirs.ipv4_mapped
        # connect(2) takes the wildcard as an address of this machine.
        if ours.is_unspecified or theirs.is_unspecified:
            return is_local_address(str(theirs))
        return ours == theirs

    def close(self) -> None:
        """Stop accepting; accepted connections stay open."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._file.remove()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _CONNECTIONS_OWN:
                    self._wait_after(error)
                return
            sock.setblocking(False)
            self._accepted(self._endpoint(self._loop, sock), _peer_name(peer))

    def _wait_after(self, error: OSError) -> None:
        _ACCEPT_ERRORS.tell(self._loop.time(), self.address, error)
        self._loop.remove_reader(self._sock.fileno())
        self._pause = self._loop.call_later(ACCEPT_PAUSE_S, self._resume)


def _peer_name(peer: object) -> str:
    if not isinstance(peer, tuple):
        return "unix"
    return str(Address(without_ipv4_mapping(peer[0]), peer[1]))


def is_local_address(ip: str) -> bool:
    """Return whether `ip` is an address of this machine, or the wildcard.

    True as well if no descriptor is free to find it out: then the address is not dialled.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((ip, 0))
    except OSError as error:
        return error.errno in OUT_OF_RESOURCES
    return True
