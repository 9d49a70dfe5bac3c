"""Parked connections to a jump host: past the handshake, waiting for a destination.

The handshake needs no destination, so it can be done before anybody asks for one; a tunnel then
costs one frame there and one back. How many are kept follows what is asked for. A parked
connection is given up before the jump server's patience ends, and looked at when it is handed out.
"""

import asyncio
import logging
import random
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple, Self

from netjumper.bridge.upstream.idle_limit import MIN_IDLE_S, IdleLimit
from netjumper.bridge.upstream.path_stats import PathStats
from netjumper.bridge.upstream.peak_demand import PeakDemand
from netjumper.bridge.upstream.route_monitor import RouteMonitor
from netjumper.client.jump_host import JumpConnection, JumpHost
from netjumper.errors import (
    JumpHostTimeout,
    NetjumperError,
    OutOfResources,
    WrongSecret,
)

MAX_DIALS = 64
"""More would be a storm, for the jump server and for the path."""
HEADROOM_DIVISOR = 4
"""One more than the busiest moment had, for each so many that it had."""
STALLED_AFTER_S, STALLED_AFTER_DIALS = 0.5, 4
"""Seconds, and times that it usually takes, after which a connection should have been let in."""
UNRESPONSIVE_AFTER_S = 2.0
"""Seconds after which it is not one lost packet: TCP tries for the third time after three."""
FIRST_RETRY_S, MAX_RETRY_S = 0.5, 30.0
"""Seconds without a dial after one has failed; they double with each that follows."""
WRONG_SECRET_RETRY_S = 1200.0
"""Seconds without one that nobody asked for after it was the secret: a jump server shuts out who
gives ten wrong answers within an hour, and with it all who come from the same address."""

_LOG = logging.getLogger("netjumper")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How many connections are parked, and for how long at first."""

    min_size: int = 1
    """Kept even when nothing is asked for."""
    max_size: int = 128
    idle_limit_s: float = 8.0
    """For one connection, until the jump server has shown that it holds them longer; the
    original closes after 10."""


class _Entry(NamedTuple):
    """Where a connection waits."""

    since: float
    timer: asyncio.TimerHandle


class ConnectionPool:
    """The connections that are parked at a jump host.

    Args:
        host: the jump host.
        limits: how many, and for how long.
    """

    def __init__(self, host: JumpHost, limits: PoolLimits) -> None:
        self.host = host
        self._loop = host.loop
        self._limits = limits
        self._demand = PeakDemand()
        self._route = RouteMonitor()
        self._idle_limit = IdleLimit(limits.idle_limit_s)
        self.path = PathStats()
        self._dialling: dict[JumpConnection, float] = {}
        self._last_authenticated = -inf
        self._parked_connections: dict[JumpConnection, _Entry] = {}
        self._longevity_probe: JumpConnection | None = None
        """One that waits longer than the others, to see how long the jump server holds it."""
        self._refill: asyncio.Handle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._retry_pause = 0.0
        self._closed = False

    def __repr__(self) -> str:
        return f"jump host {self.host.address}"

    def __len__(self) -> int:
        return len(self._parked_connections)

    @property
    def is_down(self) -> bool:
        """Whether the jump host was not reached, or did not let us in, when last tried."""
        return self._retry_pause > 0

    @property
    def is_stalled(self) -> bool:
        """Whether connections are not let in any more, though nothing says so."""
        patience = max(STALLED_AFTER_S, STALLED_AFTER_DIALS * self.path.refill_time)
        oldest = next(iter(self._dialling.values()), None)
        return oldest is not None and self._loop.time() - oldest > patience

    def check_stalled(self) -> None:
        """Take the jump host for down where it has let nobody in for a while, and says nothing."""
        oldest = next(iter(self._dialling.values()), inf)
        waits = self._loop.time() - max(oldest, self._last_authenticated)
        if waits > UNRESPONSIVE_AFTER_S and self.is_stalled and not self.is_down:
            self.mark_unresponsive()

    @property
    def first_byte(self) -> float | None:
        """Seconds that a first byte takes there and back on average; None if that is not known."""
        return self.path.first_byte

    @property
    def target_size(self) -> int:
        """How many should be parked now."""
        peak = self._demand.peak(self._loop.time())
        enough = peak + -(-peak // HEADROOM_DIVISOR)
        return min(max(enough, self._limits.min_size), self._limits.max_size)

    def __enter__(self) -> Self:
        """Begin to park."""
        self._refill_soon()
        return self

    def __exit__(self, *_: object) -> None:
        """Give all parked connections up; those that were handed out are somebody else's."""
        self._closed = True
        for handle in (self._refill, self._retry):
            if handle is not None:
                handle.cancel()
        self._clear()

    def record_request(self) -> None:
        """Count a request: how many connections are parked follows them."""
        self._demand.record(self._loop.time(), self.path.refill_time)
        self._refill_soon()

    def acquire(self) -> tuple[JumpConnection, float] | None:
        """Return a parked connection that looks alive, and the seconds that it was parked."""
        now = self._loop.time()
        if self._parked_connections:
            self._check_route(next(iter(self._parked_connections)), now)
        self._refill_soon()
        while self._parked_connections:
            connection, place = (
                self._parked_connections.popitem()
            )  # the newest is the likeliest to live
            place.timer.cancel()
            if _looks_alive(connection):
                return connection, now - place.since
            connection.cancel()
        return None

    def mark_up(self) -> None:
        """The jump host has let a connection in."""
        if self._retry_pause:
            self._retry_pause = 0.0
            _LOG.info("%s answers again", self)
            if self._retry is not None:
                self._retry.cancel()
                self._retry = None
            self._refill_soon()

    def mark_unresponsive(self) -> NetjumperError:
        """The jump host took connections, and let none of them in: that is what is returned."""
        error = JumpHostTimeout("it did not answer in time").at(self.host.address)
        self.record_failure(error)
        return error

    def record_failure(self, error: NetjumperError) -> None:
        """The jump host could not be reached, or did not let a connection in."""
        if self._closed or self._retry is not None:
            return
        if isinstance(error.__cause__, OutOfResources):
            # It says nothing about the jump host, and who asks needs descriptors more than we.
            _LOG.warning("%s; nothing is parked for %g s", error, MAX_RETRY_S)
            self._clear()
            self._retry = self._loop.call_later(MAX_RETRY_S, self._retry_now)
            return
        if not self._retry_pause:
            _LOG.warning("%s; it is tried again from time to time", error)
        if isinstance(error, WrongSecret):
            self._retry_pause = WRONG_SECRET_RETRY_S
        else:
            self._retry_pause = min(max(2 * self._retry_pause, FIRST_RETRY_S), MAX_RETRY_S)
        pause = self._retry_pause * random.uniform(0.5, 1.0)  # noqa: S311 - not to be in step
        self._retry = self._loop.call_later(pause, self._retry_now)

    def discard_older_than(self, seconds: float) -> None:
        """Give up what was parked for so long: one of that age led nowhere, and nothing told.

        At an age at which connections are safe it was a lost packet.
        """
        if seconds <= self._limits.idle_limit_s:
            return
        now = self._loop.time()
        self._idle_limit.record_blackhole(seconds, now)
        for connection, place in list(self._parked_connections.items()):
            if now - place.since >= seconds:
                self._discard(connection)
        self._refill_soon()

    def _check_route(self, connection: JumpConnection, now: float) -> None:
        """Give all up if the way to where this one leads is another than it was."""
        peer = connection.peer
        if peer is not None and self._route.has_changed(peer, now):
            _LOG.info("the network has changed: parked connections are made anew")
            self._clear()

    def _clear(self) -> None:
        for connection in list(self._parked_connections):
            self._discard(connection)
        for connection in self._dialling:
            connection.cancel()
        self._dialling.clear()
        if self._longevity_probe is not None:
            self._end_probe(self._longevity_probe)

    def _discard(self, connection: JumpConnection) -> None:
        self._parked_connections.pop(connection).timer.cancel()
        connection.cancel()

    def _refill_soon(self) -> None:
        """Have what is missing dialled, behind whatever this turn of the loop has to do."""
        if self._refill is None and self._retry is None and not self._closed:
            self._refill = self._loop.call_soon(self._dial_missing)

    def _retry_now(self) -> None:
        self._retry = None
        self._dial_missing()

    def _dial_missing(self) -> None:
        self._refill = None
        # Where none is wanted, one all the same finds out whether the jump host is back.
        wanted = max(self.target_size, int(self.is_down))
        missing = wanted - len(self._parked_connections) - len(self._dialling)
        at_once = 1 if self.is_down else MAX_DIALS
        for _ in range(min(missing, at_once - len(self._dialling))):
            connection = JumpConnection(self.host)
            self._dialling[connection] = self._loop.time()
            connection.park(partial(self._parked, connection), partial(self._lost, connection))
            connection.dial()

    def _parked(self, connection: JumpConnection) -> None:
        now = self._last_authenticated = self._loop.time()
        self.path.refill_time = now - self._dialling.pop(connection)
        self.mark_up()
        self._check_route(connection, now)
        if info := connection.info:
            self.path.record_connection(info.rtt, info.sent, info.retransmitted)
        seconds = self._idle_limit.seconds * random.uniform(0.8, 1.0)  # noqa: S311 - as above
        timer = self._loop.call_later(seconds, self._expire, connection)
        self._parked_connections[connection] = _Entry(now, timer)
        self._refill_soon()

    def _expire(self, connection: JumpConnection) -> None:
        place = self._parked_connections.pop(connection)
        if self._longevity_probe is None and self._idle_limit.may_probe(self._loop.time()):
            self._longevity_probe = connection
            self._extend_probe(connection, place.since)
        else:
            connection.cancel()
        self._refill_soon()

    def _extend_probe(self, connection: JumpConnection, since: float) -> None:
        """Leave the scout where it is until it has waited for twice as long as the others do."""
        now = self._loop.time()
        again = since + 2 * self._idle_limit.seconds - now
        self._loop.call_later(again, self._probe_due, connection, since)

    def _probe_due(self, connection: JumpConnection, since: float) -> None:
        if connection is not self._longevity_probe:
            return
        now = self._loop.time()
        if _is_proven_alive(connection):
            self._idle_limit.record_survival(now - since)
        else:
            self._idle_limit.record_blackhole(now - since, now)
        if self._idle_limit.may_probe(now):
            self._extend_probe(connection, since)
        else:
            self._end_probe(connection)

    def _end_probe(self, connection: JumpConnection) -> None:
        self._longevity_probe = None
        connection.cancel()

    def _lost(self, connection: JumpConnection, error: NetjumperError) -> None:
        """A connection could not be parked, or was lost while it was."""
        now = self._loop.time()
        if connection is self._longevity_probe:
            self._longevity_probe = None
            self._idle_limit.record_probe_failure(now)
            return
        place = self._parked_connections.pop(connection, None)
        self._dialling.pop(connection, None)
        if place is not None:
            place.timer.cancel()
            if now - place.since >= MIN_IDLE_S:  # otherwise it was not let in to stay
                self._idle_limit.record_loss(now - place.since, now)
                self._refill_soon()
                return
        self.record_failure(error)


def _looks_alive(connection: JumpConnection) -> bool:
    info = connection.info
    return connection.has_no_input and (info is None or not info.probes)


def _is_proven_alive(connection: JumpConnection) -> bool:
    """Where the kernel tells nothing, a connection that leads nowhere looks like any other."""
    return connection.info is not None and _looks_alive(connection)
