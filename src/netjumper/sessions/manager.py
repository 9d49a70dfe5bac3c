"""All tunnels of one loop, and what they share."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from operator import methodcaller

from netjumper.access_log import ACCESS_LOG
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.net.socket_options import PEER_TIMEOUT
from netjumper.net.user_timeout import UserTimeoutSuspender
from netjumper.relay.idle_timeout import IdleWatch
from netjumper.relay.relay import Relay
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

LINGER = 2.0
"""Seconds that a refused client has to take the reason before the connection is closed."""
REFUSAL_DELAY = 1.0
"""Seconds until a wrong answer is refused, where it is not the first from its source."""
CORK_TIME = 0.02
"""Seconds that the good news waits for the target's first bytes, to leave with them."""
LOOK_AFTER_HALF_CLOSED = 5.0
"""Seconds between looks at an end that has sent everything: has it been reset since?"""
ACCEPT_GRACE = 1.0
"""Seconds that who came in just before the end has for saying what it wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelLimits:
    """How long a tunnel may take over its parts, in seconds, and how many may wait."""

    handshake: float = 10.0
    """From accepting a connection until its request is complete."""
    parked: float = 300.0
    """From proving that it may come in until a client names its target; 0 allows no more than
    `handshake` for both."""
    most_parked: int = 256
    """Connections of one client (by its address) that may wait so."""
    idle: float | None = None
    """Without a byte in either direction; None is for ever."""


ServeOther = Callable[[SessionContext, object, Handoff], Session]
"""Given what the handshake came to, and the client."""


class SessionManager:
    """All tunnels of one loop, and what they share.

    Args:
        loop: the running loop.
        admission: who may come in, and what leads each to its targets.
        limits: their deadlines.
        log: where each tunnel's end is told.
        serve_other: serves the requests of handshakes that are no tunnels.
        peer_timeout: what the options of the sockets have.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        admission: Admission,
        limits: TunnelLimits | None = None,
        *,
        log: logging.Logger = ACCESS_LOG,
        serve_other: ServeOther | None = None,
        peer_timeout: float = PEER_TIMEOUT,
    ) -> None:
        limits = limits or TunnelLimits()
        self._loop = loop
        self.context = SessionContext(
            loop=loop,
            log=log,
            handshakes=_handshake_context(loop, admission, limits, log),
            memory=RelayMemory(),
            corked=Deadlines(loop, CORK_TIME, methodcaller("push")),
            lingering=Deadlines(loop, LINGER, methodcaller("close")),
            half_closed=Deadlines(loop, LOOK_AFTER_HALF_CLOSED, Relay.check_half_closed),
            idle=IdleWatch(loop, limits.idle) if limits.idle else None,
            forget=self._forget,
            hand_off=self._hand_off,
            resume=self._resume,
        )
        self._alive: dict[Session, None] = {}  # a set of thousands takes twice the memory
        self._user_timeouts = UserTimeoutSuspender(loop, peer_timeout, self._alive)
        self._serve_other = serve_other
        self._last_accepted = -inf
        self._emptied: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._alive)

    @property
    def waiting(self) -> int:
        """How many of them `drain` would wait for."""
        return sum(session.requested for session in self._alive)

    def add(self, client: Endpoint, peer: str, choose: ChooseHandshake, speaks_first: bool) -> None:
        """Take over an accepted connection.

        Args:
            client: the connection.
            peer: its address.
            choose: picks the handshake.
            speaks_first: it begins with our bytes, not the client's.
        """
        if not self.context.admission.is_allowed(peer):
            client.abort()
            return
        self._last_accepted = self._loop.time()
        tunnel = Tunnel(self.context, Handoff(client, peer, ended=False))
        self._alive[tunnel] = None
        self._user_timeouts.start()
        tunnel.start(choose, speaks_first)

    def _hand_off(self, request: object, client: Handoff) -> None:
        """Serve a client that asked for something else than a tunnel.

        Raises:
            TypeError: nobody does; the handshake and `serve_other` do not fit each other.
        """
        if self._serve_other is None:
            raise TypeError(f"nobody serves a {type(request).__name__}")
        self._alive[self._serve_other(self.context, request, client)] = None

    def _resume(self, handshake: AnyHandshake, client: Handoff) -> None:
        """Lead a client to the target that it asked another session for.

        Args:
            handshake: is through, but not answered.
            client: who asked.
        """
        tunnel = Tunnel(self.context, client)
        self._alive[tunnel] = None
        tunnel.resume(handshake)

    def _forget(self, session: Session) -> None:
        """A session is over."""
        self._alive.pop(session, None)
        if not self._alive and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def drain(self, grace: float) -> int:
        """Wait up to `grace` seconds for the tunnels to end, cut off the rest; return their number.

        Who was accepted just now is heard out; others that have not asked for anything yet are
        not waited for.
        """
        end = self._loop.time() + grace
        await self._finish_handshakes(min(end, self._last_accepted + ACCEPT_GRACE))
        for session in list(self._alive):
            session.begin_shutdown()
        # A session that hands its client over leaves none for a moment: so look again.
        while self._alive and (left := end - self._loop.time()) > 0:
            self._emptied = self._loop.create_future()
            await asyncio.wait([self._emptied], timeout=left)
        rest = list(self._alive)
        for session in rest:
            session.stop()
        self.context.memory.close()
        return len(rest)

    async def _finish_handshakes(self, until: float) -> None:
        """Let handshakes go on: where the socket outlives the service, a restart loses nobody.

        Looking now and then does: it is only done at the end, and so no tunnel need tell anybody
        when its handshake is over.
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
        delayed_refusals=Deadlines(loop, REFUSAL_DELAY, HandshakePhase.refuse_delayed),
        parked=ParkedSessions(
            loop, limits.parked, limits.most_parked if limits.parked else 0, expire
        ),
    )
