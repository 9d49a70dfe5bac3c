"""The longevity probe: one parked connection that stays open longer than the others.

It measures how long the jump server, and every NAT gateway on the path, keep an idle connection.
"""

import asyncio

from netjumper.bridge.upstream.idle_limit import IdleLimit
from netjumper.client.jump_host import JumpConnection


class LongevityProbe:
    """The longevity probe of one pool.

    Args:
        loop: the running loop.
        idle_limit: the limit that the probe's result is recorded in.
    """

    __slots__ = ("_idle_limit", "_loop", "_since", "_timer", "connection")

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_limit: IdleLimit) -> None:
        self._loop = loop
        self._idle_limit = idle_limit
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.connection: JumpConnection | None = None
        """The connection under test; None if no probe is running."""

    def start(self, connection: JumpConnection, since: float) -> bool:
        """Start a probe; return False if one is running or is of no use now.

        Args:
            connection: a parked connection; the probe owns it if the result is True.
            since: when it was parked, in seconds of the loop's clock.
        """
        if self.connection is not None or not self._idle_limit.may_probe(self._loop.time()):
            return False
        self.connection, self._since = connection, since
        self._schedule_check()
        return True

    def end(self) -> None:
        """Close the connection under test, if any."""
        if self.connection is not None:
            self.connection.cancel()
            self._forget()

    def record_loss(self) -> None:
        """Record that the jump server closed the connection under test."""
        self._idle_limit.record_probe_failure(self._loop.time())
        self._forget()

    def _schedule_check(self) -> None:
        """Wait until the connection was idle for twice the current limit."""
        due = self._since + 2 * self._idle_limit.seconds
        self._timer = self._loop.call_at(due, self._check)

    def _check(self) -> None:
        now = self._loop.time()
        if self.connection is not None and _is_proven_alive(self.connection):
            self._idle_limit.record_survival(now - self._since)
        else:
            self._idle_limit.record_blackhole(now - self._since, now)
        if self._idle_limit.may_probe(now):
            self._schedule_check()
        else:
            self.end()

    def _forget(self) -> None:
        self.connection = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def looks_alive(connection: JumpConnection) -> bool:
    """Return whether a parked connection shows no sign that it is lost.

    Input on a parked connection is its end. Unanswered keepalive probes mean that it is dead.
    """
    info = connection.info
    return connection.has_no_input and (info is None or not info.probes)


def _is_proven_alive(connection: JumpConnection) -> bool:
    """Without TCP_INFO, a dead connection looks like any other."""
    return connection.info is not None and looks_alive(connection)
