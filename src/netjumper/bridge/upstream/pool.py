"""A pool of parked connections to a jump host: authenticated, and waiting for a destination.

The handshake needs no destination, so it can be done before a request comes; a tunnel then costs
one frame in each direction. The size of the pool follows the demand. A parked connection is closed
before the jump server's idle timeout ends, and is checked when a request takes it.
"""

import asyncio
import logging
import random
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple, Self

from netjumper.bridge.upstream.idle_limit import MIN_IDLE_S, IdleLimit
from netjumper.bridge.upstream.longevity_probe import LongevityProbe, looks_alive
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
"""Concurrent dials; more would be a burst that hurts the jump server and the path."""
HEADROOM_DIVISOR = 4
"""The pool holds one connection more than the peak demand for every so many of the peak."""
STALLED_AFTER_S, STALLED_AFTER_DIALS = 0.5, 4
"""A connection that is not authenticated after so many seconds, and so many times the usual time,
is stalled."""
UNRESPONSIVE_AFTER_S = 2.0
"""Seconds after which this is more than one lost packet: TCP's third attempt is after three."""
FIRST_RETRY_S, MAX_RETRY_S = 0.5, 30.0
"""Seconds from a failed dial to the next one; they double with each further failure."""
WRONG_SECRET_RETRY_S = 1200.0
"""Seconds until the pool dials again after the secret was rejected. A jump server bans a source
after ten failed authentications within an hour, with all clients behind the same address."""

_LOG = logging.getLogger("netjumper")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """The size of a pool, and its idle limit at the start."""

    min_size: int = 1
    """Connections kept without any demand."""
    max_size: int = 128
    """Connections kept at most."""
    idle_limit_s: float = 8.0
    """Seconds that a connection is parked until the jump server has shown that it keeps them
    longer; the original implementation closes them after 10."""


class _Entry(NamedTuple):
    """One parked connection's time of parking, and its expiry."""

    since: float
    timer: asyncio.TimerHandle


class ConnectionPool:
    """The parked connections to one jump host.

    Args:
        host: the jump host.
        limits: the size of the pool, and the idle limit at the start.
    """

    def __init__(self, host: JumpHost, limits: PoolLimits) -> None:
        self.host = host
        self.path = PathStats()
        self._loop = host.loop
        self._limits = limits
        self._demand = PeakDemand()
        self._route = RouteMonitor()
        self._idle_limit = IdleLimit(limits.idle_limit_s)
        self._probe = LongevityProbe(self._loop, self._idle_limit)
        self._dialling: dict[JumpConnection, float] = {}
        """When each dial began, the oldest first."""
        self._last_authenticated = -inf
        self._parked: dict[JumpConnection, _Entry] = {}
        self._refill: asyncio.Handle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._retry_pause = 0.0
        self._loses_parked = False
        """The jump host closed a parked connection at once, and has kept none since."""
        self._closed = False

    def __repr__(self) -> str:
        return f"jump host {self.host.address}"

    def __len__(self) -> int:
        return len(self._parked)

    def __enter__(self) -> Self:
        """Start to park connections."""
        self._refill_soon()
        return self

    def __exit__(self, *_: object) -> None:
        """Close all parked connections; those that requests have taken stay open."""
        self._closed = True
        for handle in (self._refill, self._retry):
            if handle is not None:
                handle.cancel()
        self._clear()

    # The state of the jump host.

    @property
    def is_down(self) -> bool:
        """Whether the last attempt to connect or to authenticate failed."""
        return self._retry_pause > 0

    @property
    def is_stalled(self) -> bool:
        """Whether new connections are not authenticated any more, without any error."""
        limit = max(STALLED_AFTER_S, STALLED_AFTER_DIALS * self.path.refill_time)
        oldest = next(iter(self._dialling.values()), None)
        return oldest is not None and self._loop.time() - oldest > limit

    @property
    def first_byte(self) -> float | None:
        """Mean seconds that a byte and its answer take, losses included; None if unknown."""
        return self.path.first_byte

    def check_stalled(self) -> None:
        """Mark the jump host as down if it has authenticated no connection for a while."""
        oldest = next(iter(self._dialling.values()), inf)
        waited = self._loop.time() - max(oldest, self._last_authenticated)
        if waited > UNRESPONSIVE_AFTER_S and self.is_stalled and not self.is_down:
            self.mark_unresponsive()

    def mark_up(self) -> None:
        """Record that the jump host has authenticated a connection, and keeps parked ones."""
        self._loses_parked = False
        if self._retry_pause:
            self._retry_pause = 0.0
            _LOG.info("%s is up again", self)
            if self._retry is not None:
                self._retry.cancel()
                self._retry = None
            self._refill_soon()

    def mark_unresponsive(self) -> NetjumperError:
        """Record that the jump host accepts connections but authenticates none; return that."""
        error = JumpHostTimeout("it did not answer in time").at(self.host.address)
        self.record_failure(error)
        return error

    def record_failure(self, error: NetjumperError) -> None:
        """Record that the jump host was not reached, or has not authenticated a connection."""
        if self._closed or self._retry is not None:
            return
        if isinstance(error.__cause__, OutOfResources):
            # This says nothing about the jump host, and requests need the descriptors more.
            _LOG.warning("%s; not parking connections for %g s", error, MAX_RETRY_S)
            self._clear()
            self._retry = self._loop.call_later(MAX_RETRY_S, self._retry_now)
            return
        if not self._retry_pause:
            _LOG.warning("%s; retrying", error)
        if isinstance(error, WrongSecret):
            self._retry_pause = WRONG_SECRET_RETRY_S
        else:
            self._retry_pause = min(max(2 * self._retry_pause, FIRST_RETRY_S), MAX_RETRY_S)
        # Random, so that several bridges do not retry in step.
        pause = self._retry_pause * random.uniform(0.5, 1.0)  # noqa: S311
        self._retry = self._loop.call_later(pause, self._retry_now)

    # What requests do.

    @property
    def target_size(self) -> int:
        """How many connections should be parked now."""
        peak = self._demand.peak(self._loop.time())
        with_headroom = peak + -(-peak // HEADROOM_DIVISOR)
        return min(max(with_headroom, self._limits.min_size), self._limits.max_size)

    def record_request(self) -> None:
        """Record a request: the size of the pool follows them."""
        self._demand.record(self._loop.time(), self.path.refill_time)
        self._refill_soon()

    def acquire(self) -> tuple[JumpConnection, float] | None:
        """Return a parked connection that looks alive and the seconds it was parked, or None."""
        now = self._loop.time()
        if self._parked:
            self._check_route(next(iter(self._parked)), now)
        self._refill_soon()
        while self._parked:
            connection, entry = self._parked.popitem()  # the newest is the likeliest to live
            entry.timer.cancel()
            if looks_alive(connection):
                return connection, now - entry.since
            connection.cancel()
        return None

    def discard_older_than(self, seconds: float) -> None:
        """Close the connections parked for at least so long, as one of that age was a black hole.

        Below the initial idle limit a connection is known to be safe, so the cause was a lost
        packet; nothing is closed then.
        """
        if seconds <= self._limits.idle_limit_s:
            return
        now = self._loop.time()
        self._idle_limit.record_blackhole(seconds, now)
        for connection, entry in list(self._parked.items()):
            if now - entry.since >= seconds:
                self._discard(connection)
        self._refill_soon()

    # From the dial to the end of a parked connection.

    def _refill_soon(self) -> None:
        """Dial missing connections after everything else in this turn of the loop."""
        if self._refill is None and self._retry is None and not self._closed:
            self._refill = self._loop.call_soon(self._dial_missing)

    def _retry_now(self) -> None:
        self._retry = None
        self._dial_missing()

    def _dial_missing(self) -> None:
        self._refill = None
        # While the jump host is down, a pool of size 0 also dials: this detects its recovery.
        target_size = max(self.target_size, int(self.is_down))
        if self._loses_parked:  # one at a time shows whether it keeps connections now
            target_size = 1
        missing = target_size - len(self._parked) - len(self._dialling)
        max_dials = 1 if self.is_down else MAX_DIALS
        for _ in range(min(missing, max_dials - len(self._dialling))):
            connection = JumpConnection(self.host)
            self._dialling[connection] = self._loop.time()
            connection.park(
                partial(self._on_parked, connection), partial(self._on_lost, connection)
            )
            connection.dial()

    def _on_parked(self, connection: JumpConnection) -> None:
        now = self._last_authenticated = self._loop.time()
        self.path.refill_time = now - self._dialling.pop(connection)
        if self._loses_parked:
            self._loop.call_later(MIN_IDLE_S, self._check_kept, connection)
        else:
            self.mark_up()
        self._check_route(connection, now)
        if info := connection.info:
            self.path.record_connection(info.rtt, info.sent, info.retransmitted)
        # Random, so that connections that were parked together do not expire together.
        seconds = self._idle_limit.seconds * random.uniform(0.8, 1.0)  # noqa: S311
        timer = self._loop.call_later(seconds, self._expire, connection)
        self._parked[connection] = _Entry(now, timer)
        self._refill_soon()

    def _check_kept(self, connection: JumpConnection) -> None:
        """Record that the jump host keeps parked connections again, if it has kept this one."""
        if connection in self._parked:
            self.mark_up()

    def _expire(self, connection: JumpConnection) -> None:
        entry = self._parked.pop(connection)
        if not self._probe.start(connection, entry.since):
            connection.cancel()
        self._refill_soon()

    def _on_lost(self, connection: JumpConnection, error: NetjumperError) -> None:
        """A connection could not be parked, or was lost while it was parked."""
        if connection is self._probe.connection:
            self._probe.record_loss()
            return
        now = self._loop.time()
        self._dialling.pop(connection, None)
        entry = self._parked.pop(connection, None)
        if entry is not None:
            entry.timer.cancel()
            if now - entry.since >= MIN_IDLE_S:  # a younger one was never accepted to stay
                self._idle_limit.record_loss(now - entry.since, now)
                self._refill_soon()
                return
            # Otherwise each new connection would end the pause, and they would replace each other
            # as fast as the jump host closes them.
            self._loses_parked = True
        self.record_failure(error)

    def _check_route(self, connection: JumpConnection, now: float) -> None:
        """Close all connections if the route to the peer of this one has changed."""
        peer = connection.peer
        if peer is not None and self._route.has_changed(peer, now):
            _LOG.info("network changed: renewing parked connections")
            self._clear()

    def _clear(self) -> None:
        for connection in list(self._parked):
            self._discard(connection)
        for connection in self._dialling:
            connection.cancel()
        self._dialling.clear()
        self._probe.end()

    def _discard(self, connection: JumpConnection) -> None:
        self._parked.pop(connection).timer.cancel()
        connection.cancel()
