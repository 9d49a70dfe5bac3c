"""All sessions of one loop: adds, tracks and drains them.

`SessionManager.add` is where an accepted connection becomes a session.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from operator import methodcaller

from netjumper.access_log import ACCESS_LOG
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.net.socket_options import DEFAULT_PEER_TIMEOUT_S
from netjumper.net.user_timeout import UserTimeoutSuspender
from netjumper.relay.idle_timeout import IdleWatch
from netjumper.relay.relay import HALF_CLOSED_CHECK_INTERVAL_S, Relay
from netjumper.relay.splice import RelayMemory
from netjumper.sessions.admission import Admission
from netjumper.sessions.handshake_phase import (
    AnyHandshake,
    ChooseHandshake,
    HandshakeContext,
    HandshakePhase,
)
from netjumper.sessions.parked_sessions import ParkedSessions
from netjumper.sessions.session import Handoff, Session, SessionContext
from netjumper.sessions.tunnel import Tunnel
from netjumper.sessions.unread_watch import UnreadWatch

LINGER_TIMEOUT_S = 2.0
"""Seconds that a refused client has to receive the reason; then its connection is closed."""
REFUSAL_DELAY_S = 1.0
"""Seconds until a failed authentication is refused, unless it is the first from its source."""
ANSWER_CORK_TIME_S = 0.02
"""Seconds that a success answer waits for the target's first bytes, to leave in one packet."""
ACCEPT_GRACE_S = 1.0
"""Seconds that a connection which was accepted just before a shutdown has for its request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelLimits:
    """Deadlines of sessions in seconds, and how many can be parked."""

    handshake: float = 10.0
    """From accepting a connection until its request is complete."""
    parked: float = 300.0
    """From authentication until the client names its target; with 0, `handshake` covers both."""
    max_parked: int = 256
    """Parked sessions of one source (an IPv4 address or an IPv6 /64)."""
    idle: float | None = None
    """Without a byte in either direction; None is no limit."""


ServeOther = Callable[[SessionContext, object, Handoff], Session]
"""Returns a session for a request that is not a tunnel, given the request and the client."""


class SessionManager:
    """All sessions of one loop.

    Args:
        loop: the running loop.
        admission: limits connections and tunnels, and has the clients' accounts.
        limits: the sessions' deadlines.
        log: the access log.
        serve_other: serves requests that are not tunnels; None if no handshake has such ones.
        peer_timeout: TCP user timeout of the accepted sockets, in seconds; 0 is none.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        admission: Admission,
        limits: TunnelLimits | None = None,
        *,
        log: logging.Logger = ACCESS_LOG,
        serve_other: ServeOther | None = None,
        peer_timeout: float = DEFAULT_PEER_TIMEOUT_S,
    ) -> None:
        limits = limits or TunnelLimits()
        self._loop = loop
        self.context = SessionContext(
            loop=loop,
            log=log,
            handshakes=_handshake_context(loop, admission, limits, log),
            memory=RelayMemory(),
            corked=Deadlines(loop, ANSWER_CORK_TIME_S, methodcaller("push")),
            lingering=Deadlines(loop, LINGER_TIMEOUT_S, methodcaller("close")),
            half_closed=Deadlines(loop, HALF_CLOSED_CHECK_INTERVAL_S, Relay.check_half_closed),
            idle=IdleWatch(loop, limits.idle) if limits.idle else None,
            forget=self._forget,
            hand_off=self._hand_off,
            resume=self._resume,
        )
        self._alive: dict[Session, None] = {}  # a set of thousands takes twice the memory
        self._user_timeouts = UserTimeoutSuspender(loop, peer_timeout, self._alive)
        self._unread = UnreadWatch(loop, self._alive)
        self._serve_other = serve_other
        self._last_accepted = -inf
        self._emptied: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._alive)

    @property
    def waiting(self) -> int:
        """Number of sessions that `drain` would wait for."""
        return sum(session.requested for session in self._alive)

    def add(self, client: Endpoint, peer: str, choose: ChooseHandshake, speaks_first: bool) -> None:
        """Serve an accepted connection.

        Args:
            client: the connection.
            peer: its address.
            choose: returns the handshake.
            speaks_first: the handshake begins with the server's bytes.
        """
        if not self.context.admission.is_allowed(peer):
            client.abort()
            return
        self._last_accepted = self._loop.time()
        tunnel = Tunnel(self.context, Handoff(client, peer, ended=False))
        self._alive[tunnel] = None
        self._user_timeouts.start()
        self._unread.start()
        tunnel.start(choose, speaks_first)

    def _hand_off(self, request: object, client: Handoff) -> None:
        """Serve a client whose request is not a tunnel.

        Raises:
            TypeError: the handshake and `serve_other` do not fit each other.
        """
        if self._serve_other is None:
            raise TypeError(f"no session serves a {type(request).__name__}")
        self._alive[self._serve_other(self.context, request, client)] = None

    def _resume(self, handshake: AnyHandshake, client: Handoff) -> None:
        """Open a tunnel for a client whose request another session has read.

        Args:
            handshake: is complete but not answered.
            client: the client.
        """
        tunnel = Tunnel(self.context, client)
        self._alive[tunnel] = None
        tunnel.resume(handshake)

    def _forget(self, session: Session) -> None:
        """Remove a session that is over."""
        self._alive.pop(session, None)
        if not self._alive and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def drain(self, grace: float) -> int:
        """Wait up to `grace` seconds for sessions to end, and abort the rest.

        Connections that were accepted just now can finish their handshake. Otherwise sessions
        without a request are not waited for.

        Returns:
            How many sessions were aborted.
        """
        end = self._loop.time() + grace
        await self._finish_handshakes(min(end, self._last_accepted + ACCEPT_GRACE_S))
        for session in list(self._alive):
            session.begin_shutdown()
        # A session that hands its client off leaves none for a moment, so check again.
        while self._alive and (left := end - self._loop.time()) > 0:
            self._emptied = self._loop.create_future()
            await asyncio.wait([self._emptied], timeout=left)
        rest = list(self._alive)
        for session in rest:
            session.stop()
        self.context.memory.close()
        return len(rest)

    async def _finish_handshakes(self, until: float) -> None:
        """Let handshakes finish, so that a restart with an inherited socket loses no connection.

        It polls, because it runs only at shutdown; so no session has to report the end of its
        handshake.
        """
        while self.context.handshakes.deadlines and self._loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _handshake_context(
    loop: asyncio.AbstractEventLoop,
    admission: Admission,
    limits: TunnelLimits,
    log: logging.Logger,
) -> HandshakeContext:
    expire = HandshakePhase.expire
    return HandshakeContext(
        admission=admission,
        log=log,
        deadlines=Deadlines(loop, limits.handshake, expire),
        delayed_refusals=Deadlines(loop, REFUSAL_DELAY_S, HandshakePhase.refuse_delayed),
        parked=ParkedSessions(
            loop, limits.parked, limits.max_parked if limits.parked else 0, expire
        ),
    )
