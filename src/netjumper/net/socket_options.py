"""The options of TCP sockets: what every one of ours has, and what the settings ask for."""

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
"""Seconds in which a peer that vanished without a word is noticed, where nothing else is said."""
FAST_OPEN_QUEUE = 1024
"""Connections by Fast Open that are accepted before their handshake is complete; others wait."""
LONG_PATH_LOSS_PROBE_S = 0.05
"""Seconds for `loss_probe` on a long path: just more than Linux delays an acknowledgement by."""
DEFER_ACCEPT_S = 10
"""Seconds that a connection without bytes is kept from us with `defer_accept`."""

Option = tuple[int, int, int | bytes]
"""Level, name and value, as for `setsockopt`."""
SockAddr = tuple[str, int] | tuple[str, int, int, int]
"""An IP address and a port, as the `socket` module has them."""
Found = list[tuple[socket.AddressFamily, SockAddr]]
"""A host's addresses, the preferred ones first (RFC 6724)."""

_TCP = socket.IPPROTO_TCP
IPPROTO_MPTCP = 262
"""A name which not every Python has that runs where the kernel has it."""
_MSG_FASTOPEN = 0x20000000
_IP_BIND_ADDRESS_NO_PORT = 24
_TCP_RTO_MIN_US = 45
_LINUX = sys.platform == "linux"


@dataclass(frozen=True, kw_only=True)
class SocketOptions:
    """What sockets have besides: small messages leave at once (TCP_NODELAY), always.

    Attributes:
        peer_timeout: seconds in which a peer that vanished is noticed, whether or not there is
            something on its way to it; 0 leaves it to the system.
        user_timeout: whether `peer_timeout` is also for what is on its way (TCP_USER_TIMEOUT).
            False where nobody looks after peers that do not read (`net/readers`): it would cut
            them off, as Linux takes a closed window for no answer.
        loss_probe: seconds over two round trips after which a last packet that nobody acknowledged
            is sent again (the tail loss probe of RFC 8985 section 7); 0 leaves it to the system,
            which takes 0.2. So it is where the kernel has no such option (Linux 6.15).
        congestion_control: its name (`bbr`); empty is the system's.
        fast_open: RFC 7413. Ours carries no data to the listener: what is gained is that the
            listener can speak a round trip earlier.
        mptcp: several paths for one connection (RFC 8684), where the peer has it too.
        defer_accept: a connection is accepted with its first bytes.
        mark: the firewall mark of dialled connections; 0 is none.
        interface: the one that dialled connections leave by; empty is the routes' choice.
        source: addresses that dialled connections come from, one for each family that is dialled;
            none is the system's choice.
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
        """Return a socket to be bound, with its options; those that it accepts inherit them.

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
        """Set the options of a socket that is to listen, or does; a unix socket has none.

        Raises:
            OSError: the system refuses.
        """
        if sock.family == socket.AF_UNIX:
            return
        for option in self._listening:
            sock.setsockopt(*option)

    def dial(self, family: int, sockaddr: SockAddr) -> socket.socket:
        """Return a non-blocking socket whose connection is under way, or made: it is then writable.

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
                # Not TCP_FASTOPEN_CONNECT: that sends nothing until we do, and we listen first.
                # Without data sendto() is writable as late as with connect().
                if self.fast_open:
                    sock.sendto(b"", _MSG_FASTOPEN, sockaddr)
                else:
                    sock.connect(sockaddr)
        except BaseException:
            sock.close()
            raise
        return sock

    def set_dialled(self, sock: socket.socket) -> None:
        """Set the options of a TCP socket that is to be connected, or is.

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
                if _LINUX:  # the port is chosen when the target is known, so there are enough
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
        user_timeout = self.user_timeout and not self.mptcp  # which has none
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
    """Whether the kernel lets us choose; elsewhere the option's number may be another's."""
    try:
        with socket.socket() as sock:
            sock.getsockopt(_TCP, _TCP_RTO_MIN_US)
    except OSError:
        return False
    return _LINUX


def _noticing(peer_timeout: float, *, user_timeout: bool) -> list[Option]:
    """Return what has a peer noticed that vanished.

    The kernel's questions are for where nothing is on its way. With 30 s the first is asked after
    15, then every 2: six, and all are over after 27. That none of six is answered does not happen
    where one packet of 30 is lost. Where something is on its way it is sent again instead, until
    the user timeout (26 s, and the kernel looks a little later), which is also the end of the
    questions: it takes the place of their count (tcp_keepalive_timer).
    """
    if not peer_timeout:
        return []
    idle, interval = max(int(peer_timeout / 2), 1), max(int(peer_timeout / 15), 1)
    values = {
        "TCP_KEEPIDLE": idle,
        "TCP_KEEPALIVE": idle,  # what macOS calls it
        "TCP_KEEPINTVL": interval,
    }
    if user_timeout and hasattr(socket, "TCP_USER_TIMEOUT"):
        values["TCP_USER_TIMEOUT"] = user_timeout_of(peer_timeout)
    else:
        values["TCP_KEEPCNT"] = max(int((peer_timeout - idle) / interval), 1)
    numbers = ((getattr(socket, name, None), value) for name, value in values.items())
    options = [(_TCP, number, value) for number, value in numbers if number is not None]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *options]
