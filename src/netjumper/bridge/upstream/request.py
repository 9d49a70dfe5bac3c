"""One tunnel that is asked for, on as many connections and at as many jump hosts as it takes."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

from netjumper.addressing.address import Address
from netjumper.bridge.replay_safety import is_replay_safe
from netjumper.bridge.upstream.early_data import KnownTargets
from netjumper.bridge.upstream.pool import ConnectionPool
from netjumper.client.jump_host import EARLY_LIMIT, JumpConnection
from netjumper.errors import (
    JumpHostProtocolError,
    JumpHostTimeout,
    JumpHostUnreachable,
    NetjumperError,
    TargetError,
    WrongSecret,
)
from netjumper.net.connector import Failed, Opened
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint

MAX_LOST_PARKED = 2
"""The first of so many lost connections is replaced by a parked one; then one is dialled."""


class RequestShared(Protocol):
    """What the requests of one way out share, as each of them sees it."""

    loop: asyncio.AbstractEventLoop
    known: KnownTargets
    unanswered: Deadlines["Request"]

    def may_hedge(self) -> bool:
        """Whether a request may be asked twice; counts it then."""


class _Attempt(NamedTuple):
    """A connection that was asked for the tunnel."""

    jump_host: ConnectionPool
    since: float
    parked: float | None
    """For how many seconds it was; None where it was dialled for this request."""


class Request:
    """A tunnel that is asked for.

    Args:
        upstream: whose it is.
        ways: the jump hosts to try, in their order.
        target: where the tunnel is to lead.
        opened: called when it stands.
        failed: called when there is none.
    """

    __slots__ = (
        "_attempts",
        "_early_data",
        "_errors",
        "_failed",
        "_jump_host",
        "_lost_parked",
        "_opened",
        "_others",
        "_target",
        "_timer",
        "_upstream",
        "optimistic",
    )

    def __init__(
        self,
        upstream: RequestShared,
        candidates: Sequence[ConnectionPool],
        target: Address,
        opened: Opened,
        failed: Failed,
    ) -> None:
        self._upstream = upstream
        self._jump_host, *self._others = candidates
        self._errors: dict[ConnectionPool, NetjumperError] = {}
        self._target = target
        self._opened = opened
        self._failed = failed
        self._early_data = b""
        self._lost_parked = 0
        self._attempts: dict[JumpConnection, _Attempt] = {}
        self._timer: asyncio.TimerHandle | None = None
        knows = upstream.known.expects(target, upstream.loop.time())
        self.optimistic = knows and not self._jump_host.is_down
        """Whether it is as good as certain: who waits for it may be told that it stands."""
        self._attempt()
        self._start_timers()

    @property
    def early_data_budget(self) -> int:
        """How many bytes can be sent to the target before it is known to be reached."""
        # What two connections were asked must stay what may be repeated.
        return EARLY_LIMIT - len(self._early_data) if len(self._attempts) == 1 else 0

    def send_early(self, data: bytes) -> None:
        """Send such bytes; no more than there is room for."""
        self._early_data += data
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

    def _attempt(self, *, parked: bool = True) -> None:
        """Ask a connection, a parked one where there is one and it may be."""
        upstream, jump_host = self._upstream, self._jump_host
        taken = jump_host.acquire() if parked else None
        connection, age = taken or (JumpConnection(jump_host.host), None)
        self._attempts[connection] = _Attempt(jump_host, upstream.loop.time(), age)
        connection.request(
            self._target,
            partial(self._established, connection),
            partial(self._attempt_failed, connection),
            early_is_near=self.optimistic
            and not self._early_data
            and jump_host.path.hedge_delay > 0,
        )
        if self._early_data:
            connection.send_early(self._early_data)
        if age is None:
            connection.dial()

    def _start_timers(self) -> None:
        """See after an answer that does not come."""
        upstream = self._upstream
        upstream.unanswered.add(self)
        (attempt,) = self._attempts.values()
        path = attempt.jump_host.path
        late = path.hedge_delay if attempt.parked is not None else path.cold_hedge_delay
        if late:
            self._timer = upstream.loop.call_later(late, self._hedge)

    def _hedge(self) -> None:
        """A packet was lost: its sender's next try would take longer than asking somebody else."""
        self._timer = None
        if is_replay_safe(self._early_data) and self._upstream.may_hedge():
            self._attempt()

    def check_unanswered(self) -> None:
        """No answer came for a long time."""
        upstream = self._upstream
        first = next(iter(self._attempts.values()))
        longer = upstream.loop.time() - first.since < 2 * first.jump_host.path.cold_hedge_delay
        if longer or (
            any(map(_was_acknowledged, self._attempts)) and not first.jump_host.is_stalled
        ):
            upstream.unanswered.add(self)  # a longer path than most, or the target takes its time
        elif is_replay_safe(self._early_data):
            self._fail_over()
        elif self._others and not any(it.has_asked for it in self._attempts):
            self._cancel_unsent()
            self._fail_over()

    def _cancel_unsent(self) -> None:
        """Give up those that nothing has left on yet: it may not leave twice."""
        for connection, attempt in self._attempts.items():
            connection.cancel()
            self._errors.setdefault(attempt.jump_host, attempt.jump_host.mark_unresponsive())
        self._attempts.clear()

    def _fail_over(self) -> None:
        """Those that were asked lead nowhere, most likely."""
        all_parked = all(attempt.parked is not None for attempt in self._attempts.values())
        if self._use_next_jump_host():
            self._attempt()
            self._upstream.unanswered.add(self)
        elif all_parked:
            self._attempt(parked=False)

    def _use_next_jump_host(self) -> bool:
        """Go on to the next jump host; False where there is none."""
        if not self._others:
            return False
        self._jump_host = self._others.pop(0)
        return True

    def _established(self, connection: JumpConnection, endpoint: Endpoint) -> None:
        upstream = self._upstream
        now = upstream.loop.time()
        attempt = self._attempts.pop(connection)
        if attempt.parked is None:
            attempt.jump_host.mark_up()
        else:
            attempt.jump_host.path.record_answer(now - attempt.since)
        upstream.known.record_success(self._target, now)
        self._update_unanswered(attempt)
        self.cancel()
        self._opened(endpoint)

    def _update_unanswered(self, answered: _Attempt) -> None:
        """Of those that were asked too, see which hang, or have not even acknowledged it."""
        for connection, attempt in self._attempts.items():
            hangs = not connection.was_let_in or attempt.jump_host.is_stalled
            if attempt.jump_host is not answered.jump_host and hangs:
                attempt.jump_host.mark_unresponsive()
            elif attempt.parked is not None and attempt.since <= answered.since:
                info = connection.info
                if info is not None and info.unacknowledged:
                    attempt.jump_host.discard_older_than(attempt.parked)

    def _attempt_failed(self, connection: JumpConnection, error: NetjumperError) -> None:
        attempt = self._attempts.pop(connection)
        if isinstance(error, TargetError):
            self._fail(error)
            return
        if not connection.was_let_in:
            attempt.jump_host.record_failure(error)
        if attempt.parked is None:  # of one that was lost while it waited there is nothing to tell
            self._errors.setdefault(attempt.jump_host, error)
        if self._attempts and not self._out_of_time(attempt, error):
            return
        # Who was not reached, or did not let us in, has passed nothing on.
        not_passed_on = isinstance(error, (JumpHostUnreachable, WrongSecret))
        never_left = not self._attempts and (not_passed_on or not connection.has_asked)
        if (never_left or is_replay_safe(self._early_data)) and self._try_again(attempt, error):
            return
        self._fail(_combined_error([*self._errors.values()]) or error)

    def _out_of_time(self, attempt: _Attempt, error: NetjumperError) -> bool:
        """Whether the jump host had all the time that it may take; who was asked later has not."""
        candidates = {it.jump_host for it in self._attempts.values()}
        return isinstance(error, JumpHostTimeout) and candidates == {attempt.jump_host}

    def _try_again(self, attempt: _Attempt, error: NetjumperError) -> bool:
        """Begin again after a failure of a jump host's; False where there is no more to try."""
        # A jump server says nothing bad about itself in words: it was lost while it waited.
        if attempt.parked is not None and isinstance(error, JumpHostProtocolError):
            self._lost_parked += 1
            self._attempt(parked=self._lost_parked < MAX_LOST_PARKED)
        elif self._use_next_jump_host():
            self._attempt()
        else:
            return False
        return True

    def _fail(self, error: NetjumperError) -> None:
        self.cancel()
        self._upstream.known.record_failure(self._target)
        self._failed(error)


def _was_acknowledged(connection: JumpConnection) -> bool:
    """Whether the jump server has what it was asked: then it is the target that takes its time."""
    info = connection.info
    return connection.was_let_in and info is not None and not info.unacknowledged


def _combined_error(errors: Sequence[NetjumperError]) -> NetjumperError | None:
    """Return the first of what the jump hosts met, saying that the others were of no use either."""
    if not errors:
        return None
    first = errors[0]
    if len(errors) > 1:
        first.args = (f"none of {len(errors)} jump hosts can be used; {first}",)
    return first
