"""The options of TCP sockets: those that all have, and those of the settings."""

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from netjumper.addressing.address import ip_literal
from netjumper.net.user_timeout import user_timeout_of

DEFAULT_PEER_TIMEOUT_S = 30.0
"""Seconds until a lost peer is noticed, unless the settings say otherwise."""
FAST_OPEN_QUEUE = 1024
"""Fast Open connections that can wait for their handshake to complete."""
LONG_PATH_LOSS_PROBE_S = 0.05
"""Seconds for `loss_probe` on a long path: just more than Linux delays an acknowledgement."""
DEFER_ACCEPT_S = 10
"""Seconds that the kernel keeps a connection without bytes, with `defer_accept`."""

Option = tuple[int, int, int | bytes]
"""Level, name and value, as for `setsockopt`."""
SockAddr = tuple[str, int] | tuple[str, int, int, int]
"""An IP address and a port, in the `socket` module's form."""
Found = list[tuple[socket.AddressFamily, SockAddr]]
"""A host's addresses, the preferred ones first (RFC 6724)."""

_TCP = socket.IPPROTO_TCP
IPPROTO_MPTCP = 262
"""Some Pythons have no name for an option that the kernel has."""
_MSG_FASTOPEN = 0x20000000
_IP_BIND_ADDRESS_NO_PORT = 24
_TCP_RTO_MIN_US = 45
_LINUX = sys.platform == "linux"


@dataclass(frozen=True, kw_only=True)
class SocketOptions:
    """Options of the settings. In addition, small messages always leave at once (TCP_NODELAY).

    Attributes:
        peer_timeout: seconds until a lost peer is noticed, with or without data on its way to it;
            0 leaves that to the system.
        user_timeout: use `peer_timeout` for data on its way as well (TCP_USER_TIMEOUT). Must be
            False without a `UserTimeoutSuspender`: Linux takes a closed window for a lost peer, so
            a peer that does not read would be disconnected.
        loss_probe: seconds, in addition to two round trips, after which the last packet is sent
            again if it is not acknowledged (tail loss probe, RFC 8985 section 7). 0 leaves it to
            the system, which uses 0.2, as kernels before Linux 6.15 always do.
        congestion_control: its name (`bbr`); empty uses the system's.
        fast_open: RFC 7413. Connections carry no data to the listener; the gain is that the
            listener can send a round trip earlier.
        mptcp: several paths for one connection (RFC 8684), if the peer supports it.
        defer_accept: accept a connection only when its first bytes are there.
        mark: the firewall mark of dialled connections; 0 is none.
        interface: the one that dialled connections leave by; empty leaves it to the routes.
        source: addresses that dialled connections come from, one for each family that is dialled;
            none leaves it to the system.
    """

    peer_timeout: float = DEFAULT_PEER_TIMEOUT_S
    user_timeout: bool = True
    loss_probe: float = 0.0
    congestion_control: str = ""
    fast_open: bool = False
    mptcp: bool = False
    defer_accept: bool = False
    mark: int = 0
    interface: str = ""
    source: Sequence[str] = ()

    def listening_socket(self, family: int) -> socket.socket:
        """Return a socket to bind, with its options; accepted sockets inherit them.

        Raises:
            OSError: the system refuses.
        """
        sock = self._new(family)
        try:
            self.set_listening(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def set_listening(self, sock: socket.socket) -> None:
        """Set the options of a listening socket, or one that will listen; a unix socket has none.

        Raises:
            OSError: the system refuses.
        """
        if sock.family == socket.AF_UNIX:
            return
        for option in self._listening:
            sock.setsockopt(*option)

    def dial(self, family: int, sockaddr: SockAddr) -> socket.socket:
        """Return a non-blocking socket that is connecting; it is writable once it is connected.

        Args:
            family: the address's.
            sockaddr: the address to connect to.

        Raises:
            OSError: it cannot be connected; ENETUNREACH if no `source` is of that family.
        """
        sock = self._new(family)
        try:
            self.set_dialled(sock)
            if self.source:
                self._bind(sock)
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                # Not TCP_FASTOPEN_CONNECT: it sends nothing before the first data, and the server
                # speaks first. Without data, the socket is writable as late as after connect().
                if self.fast_open:
                    sock.sendto(b"", _MSG_FASTOPEN, sockaddr)
                else:
                    sock.connect(sockaddr)
        except BaseException:
            sock.close()
            raise
        return sock

    def set_dialled(self, sock: socket.socket) -> None:
        """Set the options of a connected TCP socket, or one that will be connected.

        Raises:
            OSError: the system refuses.
        """
        for option in self._dialled:
            sock.setsockopt(*option)

    def _new(self, family: int) -> socket.socket:
        mptcp = self.mptcp and family != socket.AF_UNIX
        return socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if mptcp else 0)

    def _bind(self, sock: socket.socket) -> None:
        for address in self.source:
            if family_of(address) == sock.family:
                if _LINUX:  # the port is chosen at connect, so ports do not run out
                    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((address, 0))
                return
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    @cached_property
    def _listening(self) -> Sequence[Option]:
        options = [*self._both]
        if self.fast_open:
            options.append((_TCP, socket.TCP_FASTOPEN, FAST_OPEN_QUEUE))
        if self.defer_accept:
            options.append((_TCP, socket.TCP_DEFER_ACCEPT, DEFER_ACCEPT_S))
        return options

    @cached_property
    def _dialled(self) -> Sequence[Option]:
        options = [*self._both]
        if self.mark:
            options.append((socket.SOL_SOCKET, socket.SO_MARK, self.mark))
        if self.interface:
            name = os.fsencode(self.interface)
            options.append((socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name))
        return options

    @cached_property
    def _both(self) -> Sequence[Option]:
        options: list[Option] = [(_TCP, socket.TCP_NODELAY, 1)]
        user_timeout = self.user_timeout and not self.mptcp  # it has none
        options += _noticing(self.peer_timeout, user_timeout=user_timeout)
        if self.loss_probe and not self.mptcp and _has_loss_probe():
            options.append((_TCP, _TCP_RTO_MIN_US, int(self.loss_probe * 1e6)))
        if self.congestion_control:
            options.append((_TCP, socket.TCP_CONGESTION, os.fsencode(self.congestion_control)))
        return options


DEFAULTS = SocketOptions()


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an IP address."""
    literal = ip_literal(address)
    return socket.AF_INET6 if literal is not None and literal.version == 6 else socket.AF_INET


@cache
def _has_loss_probe() -> bool:
    """Whether the kernel has this option; elsewhere its number may mean another one."""
    try:
        with socket.socket() as sock:
            sock.getsockopt(_TCP, _TCP_RTO_MIN_US)
    except OSError:
        return False
    return _LINUX


def _noticing(peer_timeout: float, *, user_timeout: bool) -> list[Option]:
    """Return the options that detect a lost peer.

    Keepalive probes are for an idle connection. With 30 s, the first is sent after 15 s and then
    one every 2 s; the sixth is over after 27 s. On a path that loses one packet in 30, six in a row
    are not lost by chance. Data on its way is sent again instead, until the user timeout (26 s; the
    kernel checks a little later). The user timeout also ends the probes: it replaces their count
    (tcp_keepalive_timer).
    """
    if not peer_timeout:
        return []
    idle, interval = max(int(peer_timeout / 2), 1), max(int(peer_timeout / 15), 1)
    values = {
        "TCP_KEEPIDLE": idle,
        "TCP_KEEPALIVE": idle,  # its name on macOS
        "TCP_KEEPINTVL": interval,
    }
    if user_timeout and hasattr(socket, "TCP_USER_TIMEOUT"):
        values["TCP_USER_TIMEOUT"] = user_timeout_of(peer_timeout)
    else:
        values["TCP_KEEPCNT"] = max(int((peer_timeout - idle) / interval), 1)
    numbers = ((getattr(socket, name, None), value) for name, value in values.items())
    options = [(_TCP, number, value) for number, value in numbers if number is not None]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *options]
