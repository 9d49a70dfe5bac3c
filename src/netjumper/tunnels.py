"""All tunnels of one loop, and what they share."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from netjumper.accesslog import TUNNEL_LOG
from netjumper.net.deadlines import Deadlines
from netjumper.net.dial import Connector
from netjumper.net.endpoint import Endpoint
from netjumper.net.idle import IdleWatch
from netjumper.net.pipes import RelayMemory
from netjumper.net.relay import Relay
from netjumper.session import Session
from netjumper.tunnel import AnyHandshake, ChooseHandshake, Tunnel, TunnelShared

LINGER = 2.0
"""Seconds that a refused client has to take the reason before the connection is closed."""
LOOK_AFTER_HALF_CLOSED = 5.0
"""Seconds between looks at an end that has sent everything: has it been reset since?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelLimits:
    """How long a tunnel may take over its parts, in seconds."""

    handshake: float = 10.0
    """From accepting a connection until its request is complete."""
    idle: float | None = None
    """Without a byte in either direction; None is for ever."""


ServeOther = Callable[["Tunnels", object, Endpoint, str, bool], Session]
"""Given the request, the client, its address, and whether it has ended its stream."""


class Tunnels(TunnelShared):
    """All tunnels of one loop, and what they share.

    Args:
        loop: the running loop.
        connector: what leads to a target.
        limits: their deadlines.
        log: where each tunnel's end is told.
        serve_other: serves the requests of handshakes that are no tunnels.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connector: Connector,
        limits: TunnelLimits | None = None,
        *,
        log: logging.Logger = TUNNEL_LOG,
        serve_other: "ServeOther | None" = None,
    ) -> None:
        limits = limits or TunnelLimits()
        self.loop = loop
        self.connector = connector
        self.log = log
        self.memory = RelayMemory()
        self.handshaking: Deadlines[Tunnel] = Deadlines(
            loop, limits.handshake, Tunnel.handshake_expired
        )
        self.lingering: Deadlines[Session] = Deadlines(loop, LINGER, Session.close)
        self.half_closed: Deadlines[Relay] = Deadlines(
            loop, LOOK_AFTER_HALF_CLOSED, Relay.check_half_closed
        )
        self.idle = IdleWatch(loop, limits.idle) if limits.idle else None
        self._alive: set[Session] = set()
        self._serve_other = serve_other
        self._emptied: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._alive)

    @property
    def waiting(self) -> int:
        """How many of them `drain` would wait for."""
        return sum(session.requested for session in self._alive)

    def add(self, client: Endpoint, peer: str, choose: ChooseHandshake, speaks_first: bool) -> None:
        """Take over an accepted connection."""
        tunnel = Tunnel(self, client, peer, choose)
        self._alive.add(tunnel)
        tunnel.start(speaks_first)

    def take_over(self, request: object, client: Endpoint, peer: str, ended: bool) -> None:
        """Serve a client that asked for something else than a tunnel."""
        if self._serve_other is None:
            raise TypeError(f"nobody serves a {type(request).__name__}")
        self._alive.add(self._serve_other(self, request, client, peer, ended))

    def resume(
        self, handshake: AnyHandshake, client: Endpoint, peer: str, client_ended: bool
    ) -> None:
        """Lead a client to the target that it asked another session for."""
        tunnel = Tunnel(self, client, peer, lambda _: handshake)
        self._alive.add(tunnel)
        tunnel.resume(handshake, client_ended)

    def forget(self, session: Session) -> None:
        """A session is over."""
        self._alive.discard(session)
        if not self._alive and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def drain(self, grace: float) -> int:
        """Wait up to `grace` seconds for the tunnels to end, cut off the rest; return their number.

        Connections that have not asked for anything yet are not waited for.
        """
        for session in list(self._alive):
            if not session.requested:
                session.stop()
        if self._alive and grace > 0:
            self._emptied = self.loop.create_future()
            await asyncio.wait([self._emptied], timeout=grace)
        rest = list(self._alive)
        for session in rest:
            session.stop()
        self.memory.close()
        return len(rest)
