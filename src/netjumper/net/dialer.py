"""Dials on an event loop: from a host and a port to a connected endpoint (RFC 8305)."""

import asyncio
import socket
from collections.abc import Callable

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.errors import NameNotFound, NetjumperError, TargetError
from netjumper.net.connector import AllowAll, Failed, IsOwnListener, Opened, TargetFilter
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint, MakeEndpoint
from netjumper.net.happy_eyeballs import ATTEMPT_DELAY_S, ConnectionAttempts
from netjumper.net.resolver import Answer, Resolver, checked_answer, found_literal
from netjumper.net.socket_options import DEFAULTS, SockAddr, SocketOptions

DEFAULT_LOOKUP_TIMEOUT_S = 15.0
"""Longer than the system waits for two dead name servers, so that it can ask a third."""


class Dialer:
    """Opens connections.

    Args:
        loop: the running loop.
        timeout: seconds that it can take to connect, after the look-up.
        lookup_timeout: seconds that a look-up can take.
        min_not_found_time: seconds from the begin of a dial until its name is reported as not
            existing, at least. The time then does not tell a name that `target_filter` hides from
            one that does not exist.
        resolver: looks up names; dialers that share one get equal shares of it.
        target_filter: decides which targets are dialled; None accepts all.
        is_own_listener: returns whether this process listens at an address, which is not dialled.
        options: of the sockets.
        dialled: called with each socket that is connecting, and the port that it connects to.
        endpoint: makes an endpoint of a connected socket.

    Raises:
        UnsupportedLoop: the loop cannot watch sockets.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        timeout: float,
        lookup_timeout: float = DEFAULT_LOOKUP_TIMEOUT_S,
        min_not_found_time: float = 0.0,
        resolver: Resolver | None = None,
        target_filter: TargetFilter | None = None,
        is_own_listener: IsOwnListener | None = None,
        options: SocketOptions = DEFAULTS,
        dialled: Callable[[socket.socket, int], None] | None = None,
        endpoint: MakeEndpoint = Endpoint,
    ) -> None:
        require_watching(loop)
        self.loop = loop
        self.resolver = resolver or Resolver(loop)
        self.target_filter = target_filter or AllowAll()
        self.is_own_listener = is_own_listener or _never
        self.options = options
        self.dialled = dialled
        self.endpoint = endpoint
        self.min_not_found_time = min_not_found_time
        self.lookups: Deadlines[Dial] = Deadlines(loop, lookup_timeout, Dial.expire)
        self.deadlines: Deadlines[Dial] = Deadlines(loop, timeout, Dial.expire)

    def connect(self, target: Address, opened: Opened, failed: Failed) -> "Dial":
        """Dial `target`; `failed` is given a `TargetError`.

        Raises:
            TargetDenied: it is refused, whatever its addresses are.
        """
        self.target_filter.check_target(target)
        return Dial(self, target, opened, failed)


class Dial:
    """One dial in progress."""

    __slots__ = ("_attempts", "_dialer", "_failed", "_opened", "_started", "_target", "_timer")

    def __init__(self, dialer: Dialer, target: Address, opened: Opened, failed: Failed) -> None:
        self._dialer = dialer
        self._target = target
        self._opened = opened
        self._failed = failed
        self._attempts: ConnectionAttempts | None = None
        self._timer: asyncio.Handle | None = None
        if found := found_literal(target):
            dialer.deadlines.add(self)
            self._attempts = ConnectionAttempts(found)
            self._timer = dialer.loop.call_soon(self._try_next, self._attempts)
        else:
            self._started = dialer.loop.time()
            dialer.lookups.add(self)
            dialer.resolver.resolve(target.host, target.port, self._resolved, dialer)

    @property
    def optimistic(self) -> bool:
        """False: a dial knows its outcome only at its end."""
        return False

    @property
    def early_data_budget(self) -> int:
        """0: there is no connection yet."""
        return 0

    def send_early(self, data: bytes) -> None:
        """Not possible: `early_data_budget` is 0."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Give up; neither callback is called any more."""
        self._end()

    def expire(self) -> None:
        """End the dial: it took too long."""
        if self._attempts is None:
            self._fail(dial_errors.lookup_timed_out(self._target.host))
        else:
            self._fail(self._attempts.timed_out())

    def _resolved(self, answer: Answer) -> None:
        if self not in self._dialer.lookups:
            return
        self._dialer.lookups.remove(self)
        self._dialer.deadlines.add(self)
        try:
            found = checked_answer(answer, self._target)
        except TargetError as error:
            self._fail(error)
            return
        self._attempts = ConnectionAttempts(found)
        self._try_next(self._attempts)

    def _try_next(self, attempts: ConnectionAttempts) -> None:
        """Start the next attempt, and the timer for the one after it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = self._dialer.loop
        if sock := attempts.start_next(self._start):
            fd = sock.fileno()
            loop.add_writer(fd, self._on_writable, attempts, fd)
            if attempts.has_untried:
                self._timer = loop.call_later(ATTEMPT_DELAY_S, self._try_next, attempts)
        elif error := attempts.failure:
            self._fail(error)

    def _start(self, family: socket.AddressFamily, sockaddr: SockAddr) -> socket.socket:
        self._dialer.target_filter.check_address(self._target, sockaddr[0])
        if self._dialer.is_own_listener(sockaddr[0], sockaddr[1]):
            raise dial_errors.own_listener(str(self._target))
        sock = self._dialer.options.dial(family, sockaddr)
        if self._dialer.dialled is not None:
            self._dialer.dialled(sock, sockaddr[1])
        return sock

    def _on_writable(self, attempts: ConnectionAttempts, fd: int) -> None:
        self._dialer.loop.remove_writer(fd)
        attempt = attempts.finish(fd)
        if attempt is None:
            self._try_next(attempts)
            return
        opened = self._opened
        self._end()
        opened(self._dialer.endpoint(self._dialer.loop, attempt[0]))

    def _fail(self, error: NetjumperError) -> None:
        if isinstance(error, NameNotFound):
            loop = self._dialer.loop
            due = self._started + self._dialer.min_not_found_time
            if due > loop.time():
                self._end()
                self._timer = loop.call_at(due, self._fail_now, error)
                return
        self._fail_now(error)

    def _fail_now(self, error: NetjumperError) -> None:
        failed = self._failed
        self._end()
        failed(error)

    def _end(self) -> None:
        self._dialer.lookups.remove(self)
        self._dialer.deadlines.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._attempts is not None:
            for fd in self._attempts.under_way:
                self._dialer.loop.remove_writer(fd)
            self._attempts.close()


def _never(_ip: str, _port: int) -> bool:
    return False


class UnsupportedLoop(NetjumperError, NotImplementedError):
    """The running event loop cannot watch sockets."""


def require_watching(loop: asyncio.AbstractEventLoop) -> None:
    """Check that a loop can watch sockets; the default loop of Windows cannot.

    Raises:
        UnsupportedLoop: it cannot.
    """
    if type(loop).add_reader is asyncio.AbstractEventLoop.add_reader:
        raise UnsupportedLoop(
            f"{type(loop).__name__} cannot watch sockets; use asyncio.SelectorEventLoop"
        )
