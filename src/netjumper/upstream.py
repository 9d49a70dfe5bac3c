"""The way out: tunnels through a jump host, on parked connections where there are any.

A request outlives the connection that it was made on: one that was lost while it was parked is
replaced, and where the answer takes longer than usual another connection is asked the same.
"""

import asyncio
from functools import partial
from typing import NamedTuple

from netjumper.address import Address
from netjumper.early import EARLY_LIMIT, EarlyData, KnownTargets, may_be_repeated
from netjumper.errors import JumpHostProtocolError, NetjumperError, TargetError
from netjumper.jumphost import JumpConnection
from netjumper.latency import Latency
from netjumper.net.deadlines import Deadlines
from netjumper.net.dial import Connector, Failed, Opened
from netjumper.net.endpoint import Endpoint
from netjumper.parking import Parking
from netjumper.wire import destination_frame

LATE = 1.25
"""Of the usual time for an answer; then a packet was lost, most likely."""
NOT_WORTH_IT = 0.02
"""Seconds; where answers come sooner than this nobody is asked twice."""
SHARE = 0.1
"""Of the requests at most so many are asked twice because the first answer is late."""
SAVED_UP = 10.0
"""So many such requests can be behind each other."""
LOST = 1.0
"""Seconds without an answer; then the connection leads nowhere, most likely."""
REPLACED_BY_PARKED = 2
"""The first of so many lost connections is replaced by a parked one; then one is dialled."""


class Upstream(Connector):
    """Leads to targets through a jump host.

    Args:
        parking: the connections that are parked at it.
        early: which targets programs are told to have reached before that is known.
    """

    def __init__(self, parking: Parking, early: EarlyData = EarlyData.KNOWN) -> None:
        self.parking = parking
        self.loop = parking.host.loop
        self.known = KnownTargets(early)
        self.latency = Latency()
        self.unanswered: Deadlines[Request] = Deadlines(self.loop, LOST, Request.is_lost)
        self._second_tries = SAVED_UP

    def connect(self, target: Address, opened: Opened, failed: Failed) -> "Request":
        """Begin a tunnel.

        Raises:
            AddressError: the target is too long for the protocol.
        """
        destination_frame(target)  # raises before a connection is taken
        self._second_tries = min(self._second_tries + SHARE, SAVED_UP)
        self.parking.note_request()
        return Request(self, target, opened, failed)

    @property
    def late(self) -> float:
        """Seconds after which an answer is late; 0 where that is not worth knowing."""
        usually = self.latency.usually or self.parking.refill_time
        return LATE * usually if usually >= NOT_WORTH_IT else 0.0

    def may_try_twice(self) -> bool:
        """Whether a request may be asked twice; counts it then."""
        if self._second_tries < 1:
            return False
        self._second_tries -= 1
        return True


class _Attempt(NamedTuple):
    """A connection that was asked for the tunnel."""

    since: float
    parked: float | None
    """For how many seconds it was; None where it was dialled for this request."""


class Request:
    """A tunnel that is asked for.

    Args:
        upstream: whose it is.
        target: where the tunnel is to lead.
        opened: called when it stands.
        failed: called when there is none.
    """

    __slots__ = (
        "_attempts",
        "_early",
        "_failed",
        "_lost",
        "_opened",
        "_target",
        "_timer",
        "_upstream",
        "expected",
    )

    def __init__(self, upstream: Upstream, target: Address, opened: Opened, failed: Failed) -> None:
        self._upstream = upstream
        self._target = target
        self._opened = opened
        self._failed = failed
        self._early = b""
        self._lost = 0
        self._attempts: dict[JumpConnection, _Attempt] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.expected = upstream.known.expects(target, upstream.loop.time())
        """Whether it is as good as certain: who waits for it may be told that it stands."""
        self._begin()
        self._watch()

    @property
    def early_room(self) -> int:
        """How many bytes can be sent to the target before it is known to be reached."""
        # What two connections were asked must stay what may be repeated.
        return EARLY_LIMIT - len(self._early) if len(self._attempts) == 1 else 0

    def send_early(self, data: bytes) -> None:
        """Send such bytes; no more than there is room for."""
        self._early += data
        for connection in self._attempts:
            connection.send_early(data)

    def cancel(self) -> None:
        """Give it up without a word."""
        self._upstream.unanswered.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._attempts:
            connection.cancel()
        self._attempts.clear()

    def _begin(self, *, parked: bool = True) -> None:
        """Ask a connection, a parked one where there is one and it may be."""
        upstream = self._upstream
        taken = upstream.parking.take() if parked else None
        connection, age = taken or (JumpConnection(upstream.parking.host), None)
        self._attempts[connection] = _Attempt(upstream.loop.time(), age)
        connection.request(
            self._target,
            partial(self._stands, connection),
            partial(self._attempt_failed, connection),
        )
        if self._early:
            connection.send_early(self._early)
        if age is None:
            connection.dial()

    def _watch(self) -> None:
        """See after an answer that does not come."""
        upstream = self._upstream
        upstream.unanswered.add(self)
        late = upstream.late
        if late:
            (attempt,) = self._attempts.values()
            if attempt.parked is None:
                late += LATE * upstream.parking.refill_time
            self._timer = upstream.loop.call_later(late, self._is_late)

    def _is_late(self) -> None:
        """A packet was lost: its sender's next try would take longer than asking somebody else."""
        self._timer = None
        if may_be_repeated(self._early) and self._upstream.may_try_twice():
            self._begin()

    def is_lost(self) -> None:
        """The parked connections that were asked lead nowhere, most likely."""
        upstream = self._upstream
        began = min(attempt.since for attempt in self._attempts.values())
        if upstream.loop.time() - began < 2 * upstream.late:
            upstream.unanswered.add(self)  # a longer path than most
            return
        all_parked = all(attempt.parked is not None for attempt in self._attempts.values())
        if all_parked and may_be_repeated(self._early):
            self._begin(parked=False)

    def _stands(self, connection: JumpConnection, endpoint: Endpoint) -> None:
        upstream = self._upstream
        now = upstream.loop.time()
        attempt = self._attempts.pop(connection)
        if attempt.parked is not None:
            upstream.latency.note(now - attempt.since)
        upstream.parking.answered()
        upstream.known.worked(self._target, now)
        self._mistrust_the_silent(attempt)
        self.cancel()
        self._opened(endpoint)

    def _mistrust_the_silent(self, answered: _Attempt) -> None:
        """Learn from those that were asked before, and have not even acknowledged it."""
        for connection, attempt in self._attempts.items():
            info = connection.info
            if attempt.parked is None or attempt.since > answered.since or info is None:
                continue
            if info.unacknowledged:
                self._upstream.parking.mistrust(attempt.parked)

    def _attempt_failed(self, connection: JumpConnection, error: NetjumperError) -> None:
        attempt = self._attempts.pop(connection)
        if isinstance(error, TargetError):
            self._fail(error)
            return
        if not connection.was_let_in:
            self._upstream.parking.failed(error)
        if self._attempts:
            return
        # The jump server says nothing bad about itself in words: it was lost while it waited.
        was_lost = attempt.parked is not None and isinstance(error, JumpHostProtocolError)
        if was_lost and may_be_repeated(self._early):
            self._lost += 1
            self._begin(parked=self._lost < REPLACED_BY_PARKED)
        else:
            self._fail(error)

    def _fail(self, error: NetjumperError) -> None:
        self.cancel()
        self._upstream.known.failed(self._target)
        self._failed(error)
