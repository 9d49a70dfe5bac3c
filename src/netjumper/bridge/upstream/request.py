"""One requested tunnel: its attempts, hedging, and fail-over to the next jump host.

A request starts with one attempt at the first jump host. Three events start another one:

- the answer is late, so a packet was lost, most likely: the request is hedged on a second
  connection, and the first answer wins (`_hedge`);
- no answer came for a long time: the request goes to the next jump host (`check_unanswered`);
- an attempt failed: its connection is replaced, or the next jump host is tried
  (`_attempt_failed`).

Early data is sent twice only if it is replay-safe and the kernel shows that it was lost. If the
answer is late and nothing was lost, the second connection gets the request without it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from netjumper.addressing.address import Address
from netjumper.bridge.replay_safety import is_replay_safe
from netjumper.bridge.upstream.attempt import Attempt, combined_error, is_lost, was_acknowledged
from netjumper.bridge.upstream.early_data import KnownTargets
from netjumper.bridge.upstream.hedge_budget import HedgeBudget
from netjumper.bridge.upstream.pool import ConnectionPool
from netjumper.client.jump_host import MAX_EARLY_DATA_BYTES, JumpConnection
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

ANSWER_GRACE = 0.25
"""Share of the hedge delay that a connection with early data has for its answer, after one without
has succeeded: what only a slow target delays is answered on both at about the same time."""
MAX_LOST_PARKED = 2
"""After so many lost parked connections, a request dials a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """What all requests of one upstream share."""

    loop: asyncio.AbstractEventLoop
    known: KnownTargets
    unanswered: "Deadlines[Request]"
    hedge_budget: HedgeBudget


class Request:
    """A requested tunnel.

    Args:
        context: shared with the other requests.
        candidates: the jump hosts in the order to try them; at least one.
        target: the target of the tunnel.
        opened: called with the endpoint once the target is reached.
        failed: called with the error if it is not.
    """

    __slots__ = (
        "_attempts",
        "_context",
        "_early_data",
        "_errors",
        "_failed",
        "_held",
        "_jump_host",
        "_lost_parked",
        "_opened",
        "_others",
        "_target",
        "_timer",
        "optimistic",
    )

    def __init__(
        self,
        context: RequestContext,
        candidates: Sequence[ConnectionPool],
        target: Address,
        opened: Opened,
        failed: Failed,
    ) -> None:
        self._context = context
        self._jump_host, *self._others = candidates
        self._errors: dict[ConnectionPool, NetjumperError] = {}
        """The first error of each jump host."""
        self._target = target
        self._opened = opened
        self._failed = failed
        self._early_data = b""
        self._lost_parked = 0
        self._attempts: dict[JumpConnection, Attempt] = {}
        """The attempts without an outcome, the oldest first."""
        self._held: tuple[Attempt, Endpoint] | None = None
        """A success without the early data, while a connection with it may still succeed."""
        self._timer: asyncio.TimerHandle | None = None
        is_expected = context.known.expects(target, context.loop.time())
        self.optimistic = is_expected and not self._jump_host.is_down
        """Whether success is nearly certain, so that the client may get its reply now."""
        self._start_attempt()
        self._start_timers()

    @property
    def early_data_budget(self) -> int:
        """Bytes that can be sent to the target before the outcome is known."""
        # More early data could make a hedged request unsafe to replay.
        return MAX_EARLY_DATA_BYTES - len(self._early_data) if len(self._attempts) == 1 else 0

    def send_early(self, data: bytes) -> None:
        """Send early data; at most `early_data_budget` bytes."""
        self._early_data += data
        for connection in self._attempts:
            connection.send_early(data)

    def cancel(self) -> None:
        """Close all connections of the request; no callback is called."""
        self._context.unanswered.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._attempts:
            connection.cancel()
        self._attempts.clear()
        held, self._held = self._held, None
        if held is not None:
            held[1].close()

    # Attempts.

    def _start_attempt(self, *, parked: bool = True, early: bool = True) -> None:
        """Send the request on a connection to the current jump host.

        Args:
            parked: take a parked connection if there is one; else always dial.
            early: send the early data as well.
        """
        jump_host = self._jump_host
        acquired = jump_host.acquire() if parked else None
        connection, age = acquired or (JumpConnection(jump_host.host), None)
        self._attempts[connection] = Attempt(jump_host, self._context.loop.time(), age, early)
        early_is_near = self.optimistic and not self._early_data and jump_host.path.hedge_delay > 0
        connection.request(
            self._target,
            partial(self._succeeded, connection),
            partial(self._attempt_failed, connection),
            early_is_near=early_is_near,
        )
        if self._early_data and early:
            connection.send_early(self._early_data)
        if age is None:
            connection.dial()

    def _use_next_jump_host(self) -> bool:
        """Make the next jump host the current one; return False if there is none."""
        if not self._others:
            return False
        self._jump_host = self._others.pop(0)
        return True

    def _start_timers(self) -> None:
        """Start to wait for the answer to the first attempt."""
        self._context.unanswered.add(self)
        (attempt,) = self._attempts.values()
        path = attempt.jump_host.path
        delay = path.hedge_delay if attempt.parked is not None else path.cold_hedge_delay
        if delay:
            self._timer = self._context.loop.call_later(delay, self._hedge)

    # No answer in time.

    def _hedge(self) -> None:
        """Send the request on a second connection, which is faster than TCP's retransmission."""
        self._timer = None
        if is_replay_safe(self._early_data) and self._context.hedge_budget.may_hedge():
            self._start_attempt(early=all(map(is_lost, self._attempts)))

    def check_unanswered(self) -> None:
        """Fail over, or wait longer, after `UNANSWERED_S` without an answer."""
        if self._deserves_more_time():
            self._context.unanswered.add(self)
        elif is_replay_safe(self._early_data):
            self._fail_over()
        elif self._others and not any(it.has_asked for it in self._attempts):
            self._cancel_unsent()
            self._fail_over()

    def _deserves_more_time(self) -> bool:
        """Return whether the path is longer than most, or only the target is slow."""
        first = next(iter(self._attempts.values()))
        waited = self._context.loop.time() - first.since
        if waited < 2 * first.jump_host.path.cold_hedge_delay:
            return True
        return any(map(was_acknowledged, self._attempts)) and not first.jump_host.is_stalled

    def _cancel_unsent(self) -> None:
        """Cancel the attempts; nothing was sent on them yet, and it must not be sent twice."""
        for connection, attempt in self._attempts.items():
            connection.cancel()
            self._errors.setdefault(attempt.jump_host, attempt.jump_host.mark_unresponsive())
        self._attempts.clear()

    def _fail_over(self) -> None:
        """Try the next jump host, or dial if only parked connections were tried."""
        all_parked = all(attempt.parked is not None for attempt in self._attempts.values())
        if self._use_next_jump_host():
            self._start_attempt()
            self._context.unanswered.add(self)
        elif all_parked:
            self._start_attempt(parked=False)

    # Outcomes.

    def _succeeded(self, connection: JumpConnection, endpoint: Endpoint) -> None:
        attempt = self._attempts.pop(connection)
        if self._early_data and not attempt.has_early_data:
            if any(it.has_early_data for it in self._attempts.values()):
                self._hold(attempt, endpoint)
                return
            if not self._sent_early_data(endpoint):
                return
        self._use(attempt, endpoint)

    def _hold(self, attempt: Attempt, endpoint: Endpoint) -> None:
        """Wait a moment for a connection that has the early data, so that it is not sent twice."""
        self._held = attempt, endpoint
        delay = ANSWER_GRACE * attempt.jump_host.path.hedge_delay
        self._timer = self._context.loop.call_later(delay, self._use_held)

    def _use_held(self) -> None:
        assert self._held is not None  # noqa: S101 - for mypy
        (attempt, endpoint), self._held = self._held, None
        if self._sent_early_data(endpoint):
            self._use(attempt, endpoint)

    def _sent_early_data(self, endpoint: Endpoint) -> bool:
        """Send the early data, which fits into a fresh connection; fail if it is lost already."""
        try:
            if endpoint.send(self._early_data) == len(self._early_data):
                return True
        except OSError:
            pass
        endpoint.abort()
        self._fail(JumpHostProtocolError("the connection was lost at once"))
        return False

    def _use(self, attempt: Attempt, endpoint: Endpoint) -> None:
        now = self._context.loop.time()
        if attempt.parked is None:
            attempt.jump_host.mark_up()
        else:
            attempt.jump_host.path.record_answer(now - attempt.since)
        self._context.known.record_success(self._target, now)
        self._update_unanswered(attempt)
        self.cancel()
        self._opened(endpoint)

    def _update_unanswered(self, answered: Attempt) -> None:
        """Record what the other attempts show: a jump host is stalled, or a connection is dead."""
        for connection, attempt in self._attempts.items():
            hangs = not connection.is_authenticated or attempt.jump_host.is_stalled
            if attempt.jump_host is not answered.jump_host and hangs:
                attempt.jump_host.mark_unresponsive()
            elif attempt.parked is not None and attempt.since <= answered.since:
                info = connection.info
                if info is not None and info.unacknowledged:
                    attempt.jump_host.discard_older_than(attempt.parked)

    def _attempt_failed(self, connection: JumpConnection, error: NetjumperError) -> None:
        attempt = self._attempts.pop(connection)
        if self._held is not None:
            self._use_held()
            return
        if isinstance(error, TargetError):
            self._fail(error)
            return
        if not connection.is_authenticated:
            attempt.jump_host.record_failure(error)
        if attempt.parked is None:  # the loss of a parked connection is not the client's concern
            self._errors.setdefault(attempt.jump_host, error)
        if self._attempts and not self._is_out_of_time(attempt, error):
            return
        if self._may_try_again(connection, error) and self._try_again(attempt, error):
            return
        self._fail(combined_error([*self._errors.values()]) or error)

    def _is_out_of_time(self, attempt: Attempt, error: NetjumperError) -> bool:
        """Return whether the jump host had its full time and no other is being tried."""
        candidates = {it.jump_host for it in self._attempts.values()}
        return isinstance(error, JumpHostTimeout) and candidates == {attempt.jump_host}

    def _may_try_again(self, connection: JumpConnection, error: NetjumperError) -> bool:
        """Return whether a further attempt cannot send unsafe early data twice."""
        # A jump host that was not reached, or did not authenticate us, has relayed nothing.
        not_relayed = isinstance(error, (JumpHostUnreachable, WrongSecret))
        never_sent = not self._attempts and (not_relayed or not connection.has_asked)
        return never_sent or is_replay_safe(self._early_data)

    def _try_again(self, attempt: Attempt, error: NetjumperError) -> bool:
        """Start another attempt after a failed one; return False if there is none to make."""
        # A jump server reports its own failures in words, so the connection was lost while parked.
        if attempt.parked is not None and isinstance(error, JumpHostProtocolError):
            self._lost_parked += 1
            self._start_attempt(parked=self._lost_parked < MAX_LOST_PARKED)
        elif self._use_next_jump_host():
            self._start_attempt()
        else:
            return False
        return True

    def _fail(self, error: NetjumperError) -> None:
        self.cancel()
        self._context.known.record_failure(self._target)
        self._failed(error)
