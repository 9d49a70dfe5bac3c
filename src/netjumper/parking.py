"""Parked connections to a jump host: past the handshake, waiting for a destination.

The handshake needs no destination, so it can be done before anybody asks for one; a tunnel then
costs one frame there and one back. How many are kept follows what is asked for. A parked
connection is given up before the jump server's patience ends, looked at when it is handed out, and
when it turns out to have been lost the request goes on with another.
"""

import asyncio
import logging
import random
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

from netjumper.address import Address
from netjumper.demand import Demand
from netjumper.errors import JumpHostProtocolError, NetjumperError
from netjumper.jumphost import JumpConnection, JumpHost
from netjumper.net.dial import Connector, Failed, Opened
from netjumper.wire import destination_frame

DIALS_AT_ONCE = 16
"""More would be a storm, for the jump server and for the path."""
BURST = 4
"""One more than the busiest moment had, for each so many that it had."""
FIRST_GUESS = 0.6
"""Seconds that parking a connection is thought to take, until one was parked."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds without a dial after one has failed; they double with each that follows."""

SHORTEST = 1.0
"""Seconds that a connection is parked at least; one that is lost before has failed."""
SAFELY = 0.8
"""Of the time that connections were held until they were lost, so much is used from then on."""

_LOG = logging.getLogger("netjumper")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkingLimits:
    """How many connections are parked, and for how long."""

    least: int = 1
    """Kept even when nothing is asked for."""
    most: int = 64
    seconds: float = 8.0
    """For one connection; the original's server closes after 10."""


class _Place(NamedTuple):
    """Where a connection waits."""

    since: float
    timer: asyncio.TimerHandle


class Parking(Connector):
    """A jump host with connections parked at it.

    Args:
        host: the jump host.
        limits: how many, and for how long.
    """

    def __init__(self, host: JumpHost, limits: ParkingLimits) -> None:
        self.host = host
        self._loop = host.loop
        self._limits = limits
        self._demand = Demand()
        self._refill_time = FIRST_GUESS
        self._seconds = limits.seconds
        self._dialled: dict[JumpConnection, float] = {}
        self._waiting: dict[JumpConnection, _Place] = {}
        self._refill: asyncio.Handle | None = None
        self._pause = 0.0
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def wanted(self) -> int:
        """How many should be parked now."""
        busiest = self._demand.busiest(self._loop.time())
        enough = busiest + -(-busiest // BURST)
        return min(max(enough, self._limits.least), self._limits.most)

    def __enter__(self) -> Self:
        """Begin to park."""
        self._refill_soon()
        return self

    def __exit__(self, *_: object) -> None:
        """Give all parked connections up; requests that have one go on."""
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
        for place in self._waiting.values():
            place.timer.cancel()
        for connection in [*self._waiting, *self._dialled]:
            connection.cancel()
        self._waiting.clear()
        self._dialled.clear()

    def connect(self, target: Address, opened: Opened, failed: Failed) -> "Request":
        """Begin a tunnel, on a parked connection where there is one.

        Raises:
            AddressError: the target is too long for the protocol.
        """
        destination_frame(target)  # raises before a connection is taken
        self._demand.note(self._loop.time(), self._refill_time)
        request = Request(self, target, opened, failed)
        self._refill_soon()
        return request

    def take(self) -> JumpConnection | None:
        """Return a parked connection that nothing has come on, None where there is none."""
        while self._waiting:
            connection, place = self._waiting.popitem()  # the newest is the likeliest to live
            place.timer.cancel()
            if connection.is_silent:
                return connection
            connection.cancel()
        return None

    def _refill_soon(self) -> None:
        """Have what is missing dialled, behind whatever this turn of the loop has to do."""
        if self._refill is None and not self._closed:
            self._refill = self._loop.call_soon(self._dial_what_is_missing)

    def _dial_what_is_missing(self) -> None:
        self._refill = None
        missing = self.wanted - len(self._waiting) - len(self._dialled)
        for _ in range(min(missing, DIALS_AT_ONCE - len(self._dialled))):
            connection = JumpConnection(self.host)
            self._dialled[connection] = self._loop.time()
            connection.park(partial(self._parked, connection), partial(self._lost, connection))
            connection.dial()

    def _parked(self, connection: JumpConnection) -> None:
        now = self._loop.time()
        self._refill_time = now - self._dialled.pop(connection)
        if self._pause:
            self._pause = 0.0
            _LOG.info("jump host %s answers again", self.host.address)
        seconds = self._seconds * random.uniform(0.8, 1.0)  # noqa: S311 - not to be in step
        timer = self._loop.call_later(seconds, self._expire, connection)
        self._waiting[connection] = _Place(now, timer)
        self._refill_soon()

    def _expire(self, connection: JumpConnection) -> None:
        del self._waiting[connection]
        connection.cancel()
        self._refill_soon()

    def _lost(self, connection: JumpConnection, error: NetjumperError) -> None:
        """A connection could not be parked, or was lost while it was."""
        if place := self._waiting.pop(connection, None):
            place.timer.cancel()
            held = self._loop.time() - place.since
            if held >= SHORTEST:  # the jump server's patience, or the path's
                self._seconds = min(self._seconds, max(SHORTEST, SAFELY * held))
                self._refill_soon()
                return
        self._dialled.pop(connection, None)
        if not self._pause:
            _LOG.warning("%s; it is tried again from time to time", error)
        if self._refill is None:
            self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
            pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - not to be in step
            self._refill = self._loop.call_later(pause, self._dial_what_is_missing)


class Request:
    """A tunnel that is asked for; a parked connection that was lost meanwhile is replaced.

    Args:
        parking: where the connections are.
        target: where the tunnel is to lead.
        opened: called when it stands.
        failed: called when there is none.
    """

    __slots__ = ("_connection", "_failed", "_opened", "_parking", "_target")

    def __init__(self, parking: Parking, target: Address, opened: Opened, failed: Failed) -> None:
        self._parking = parking
        self._target = target
        self._opened = opened
        self._failed = failed
        self._connection = self._begin()

    def cancel(self) -> None:
        """Give it up without a word."""
        self._connection.cancel()

    def _begin(self) -> JumpConnection:
        if connection := self._parking.take():
            connection.request(self._target, self._opened, self._parked_one_failed)
        else:
            connection = JumpConnection(self._parking.host)
            connection.request(self._target, self._opened, self._failed)
            connection.dial()
        return connection

    def _parked_one_failed(self, error: NetjumperError) -> None:
        # The jump server says nothing bad about itself in words: it was lost while it waited.
        if isinstance(error, JumpHostProtocolError):
            self._connection = self._begin()
        else:
            self._failed(error)
