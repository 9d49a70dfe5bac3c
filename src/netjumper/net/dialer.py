"""Dialling: from a host and a port to a connected endpoint, by RFC 8305.

A name's addresses are tried in turn with the families alternating; the next attempt begins
when the one before has failed, or has kept us waiting for 250 ms, and the first that connects
wins. Both families are asked for in one look-up, so there is no resolution delay (section 3).
"""

import asyncio
import socket

from netjumper import dial_errors
from netjumper.addressing.address import Address, ip_literal
from netjumper.errors import NetjumperError
from netjumper.net.connector import AllowAll, Failed, IsOwnListener, Opened, TargetFilter
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint, MakeEndpoint
from netjumper.net.resolver import Answer, Found, Resolver, SockAddr, interleaved
from netjumper.net.socket_options import DEFAULTS, SocketOptions

ATTEMPT_DELAY = 0.25
"""Seconds between attempts (RFC 8305 section 5: the "Connection Attempt Delay")."""


class Dialer:
    """Makes connections.

    Args:
        loop: the running loop.
        timeout: seconds that a dial may take, its look-up included.
        resolver: looks names up; dialers that share one have the same share of it each.
        permit: which targets may be dialled; None permits all.
        own: where we listen ourselves, which is not dialled.
        options: of the sockets that it connects.
        endpoint: what it makes of them.

    Raises:
        UnsupportedLoop: the loop cannot watch sockets.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        timeout: float,
        resolver: Resolver | None = None,
        target_filter: TargetFilter | None = None,
        is_own_listener: IsOwnListener | None = None,
        options: SocketOptions = DEFAULTS,
        endpoint: MakeEndpoint = Endpoint,
    ) -> None:
        require_watching(loop)
        self.loop = loop
        self.resolver = resolver or Resolver(loop)
        self.target_filter = target_filter or AllowAll()
        self.is_own_listener = is_own_listener or _never
        self.options = options
        self.endpoint = endpoint
        self.deadlines: Deadlines[Dial] = Deadlines(loop, timeout, Dial.expire)

    def connect(self, target: Address, opened: Opened, failed: Failed) -> "Dial":
        """Dial `target`; `failed` is given a `TargetError`.

        Raises:
            TargetDenied: it may not be dialled, whatever its addresses are.
        """
        self.target_filter.check_target(target)
        return Dial(self, target, opened, failed)


class Dial:
    """One dial under way."""

    __slots__ = (
        "_attempts",
        "_dialer",
        "_error",
        "_failed",
        "_opened",
        "_target",
        "_timer",
        "_todo",
        "_trying",
    )

    def __init__(self, dialer: Dialer, target: Address, opened: Opened, failed: Failed) -> None:
        self._dialer = dialer
        self._target = target
        self._opened = opened
        self._failed = failed
        self._attempts: dict[int, socket.socket] = {}
        self._todo: Found = []
        self._trying = ""
        self._error: NetjumperError | None = None
        self._timer: asyncio.Handle | None = None
        dialer.deadlines.add(self)
        if literal := ip_literal(target.host):
            family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
            self._todo = [(family, (target.host, target.port))]
            self._timer = dialer.loop.call_soon(self._try_next)
        else:
            dialer.resolver.resolve(target.host, target.port, self._resolved, dialer)

    @property
    def optimistic(self) -> bool:
        """Never: it stands, or it does not."""
        return False

    @property
    def early_data_budget(self) -> int:
        """None: there is no connection yet."""
        return 0

    def send_early(self, data: bytes) -> None:
        """There is no room for any."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Give up without a word."""
        self._end()

    def expire(self) -> None:
        """The time is over."""
        if self._trying:
            self._fail(dial_errors.timed_out(self._trying))
        else:
            self._fail(dial_errors.lookup_timed_out(self._target.host))

    def _resolved(self, answer: Answer) -> None:
        if self not in self._dialer.deadlines:
            return
        if isinstance(answer, socket.gaierror):
            self._fail(dial_errors.from_gaierror(answer, self._target.host))
        elif isinstance(answer, OSError):
            self._fail(dial_errors.from_oserror(answer, str(self._target)))
        elif not answer:
            self._fail(dial_errors.name_not_found(self._target.host))
        else:
            self._todo = interleaved(answer)
            self._try_next()

    def _try_next(self) -> None:
        """Start attempts until one is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._todo:
            family, sockaddr = self._todo.pop(0)
            try:
                self._attempt(family, sockaddr)
            except NetjumperError as error:
                self._note(error)
                continue
            if self._todo:
                self._timer = self._dialer.loop.call_later(ATTEMPT_DELAY, self._try_next)
            return
        if not self._attempts:
            self._fail(self._error or dial_errors.name_not_found(self._target.host))

    def _attempt(self, family: socket.AddressFamily, sockaddr: SockAddr) -> None:
        where = str(Address(sockaddr[0], sockaddr[1]))
        self._trying = self._trying or where
        self._dialer.target_filter.check_address(self._target, sockaddr[0])
        if self._dialer.is_own_listener(sockaddr[0], sockaddr[1]):
            raise dial_errors.denied(self._target, "it would come back to us")
        try:
            sock = self._dialer.options.dial(family, sockaddr)
        except OSError as error:
            raise dial_errors.from_oserror(error, where) from None
        fd = sock.fileno()
        self._attempts[fd] = sock
        self._dialer.loop.add_writer(fd, self._on_writable, fd, where)

    def _on_writable(self, fd: int, where: str) -> None:
        self._dialer.loop.remove_writer(fd)
        sock = self._attempts.pop(fd)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            sock.close()
            self._note(dial_errors.from_oserror(OSError(number, ""), where))
            self._try_next()
            return
        opened = self._opened
        self._end()
        opened(self._dialer.endpoint(self._dialer.loop, sock))

    def _note(self, error: NetjumperError) -> None:
        """Keep the first failure: it is that of the address preferred most."""
        self._error = self._error or error

    def _fail(self, error: NetjumperError) -> None:
        failed = self._failed
        self._end()
        failed(error)

    def _end(self) -> None:
        self._dialer.deadlines.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._todo.clear()
        for fd, sock in self._attempts.items():
            self._dialer.loop.remove_writer(fd)
            sock.close()
        self._attempts.clear()


def _never(_ip: str, _port: int) -> bool:
    return False


class UnsupportedLoop(NetjumperError, NotImplementedError):
    """The running event loop cannot watch sockets."""


def require_watching(loop: asyncio.AbstractEventLoop) -> None:
    """Check that a loop can watch sockets: Windows' default one cannot.

    Raises:
        UnsupportedLoop: it cannot.
    """
    if type(loop).add_reader is asyncio.AbstractEventLoop.add_reader:
        raise UnsupportedLoop(
            f"{type(loop).__name__} cannot watch sockets; use asyncio.SelectorEventLoop"
        )
