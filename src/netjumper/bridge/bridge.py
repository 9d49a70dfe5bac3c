"""The bridge: SOCKS and HTTP on loopback, tunnels through jump hosts."""

import asyncio
import secrets
from collections.abc import Sequence

from netjumper.addressing.listeners import HTTP, MIXED, SOCKS
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.bridge.http.session import KEEP_ALIVE, ForwardingSession
from netjumper.bridge.protocol_detection import SOCKS4, SOCKS5
from netjumper.bridge.socks import SocksHandshake
from netjumper.net.connector import Connector
from netjumper.net.deadlines import Deadlines
from netjumper.net.listening_sockets import ListenTarget
from netjumper.net.socket_options import DEFAULTS, SocketOptions
from netjumper.sessions.admission import Account, Admission, AdmissionLimits
from netjumper.sessions.handshake_phase import AnyHandshake, ChooseHandshake
from netjumper.sessions.manager import ServeOther, SessionManager, TunnelLimits
from netjumper.sessions.service import ListenerConfig, Service
from netjumper.sessions.session import Handoff, Session, SessionContext

UNAUTHENTICATED = 1000
"""Connections that may wait where a password is asked for; one more takes the place of another."""


def bridge(
    *,
    upstream: Connector,
    socks: Sequence[ListenTarget] = (),
    http: Sequence[ListenTarget] = (),
    mixed: Sequence[ListenTarget] = (),
    credentials: Credentials | None = None,
    limits: TunnelLimits | None = None,
    listening: SocketOptions = DEFAULTS,
) -> Service:
    """Return a bridge on the running loop, not yet listening.

    Args:
        upstream: what leads to a target: a `netjumper.client.jump_host.JumpHost`.
        socks: where SOCKS4, 4a and 5 are spoken; a socket that listens already is one such place.
        http: where HTTP is spoken.
        mixed: where the first byte of a connection decides.
        credentials: who may use it; None lets everybody who can connect.
        limits: the tunnels' deadlines.
        listening: the options of the sockets that programs connect to.
    """
    loop = asyncio.get_running_loop()
    places = {SOCKS.name: socks, HTTP.name: http, MIXED.name: mixed}
    configs = [
        ListenerConfig(name, place, choose)
        for name, choose in _handshakes(credentials).items()
        for place in places[name]
    ]
    everybody = Account(upstream)
    unproven = None if credentials is None else UNAUTHENTICATED
    tunnels = SessionManager(
        loop,
        Admission(loop, lambda _: everybody, AdmissionLimits(unauthenticated=unproven)),
        limits,
        serve_other=_forwarders(loop, upstream),
        peer_timeout=listening.peer_timeout,
    )
    return Service(tunnels, configs, listening)


def _handshakes(credentials: Credentials | None) -> dict[str, ChooseHandshake]:
    """Return what picks the handshake, by the door that a connection comes in."""

    def socks(_: bytes) -> AnyHandshake:
        return SocksHandshake(credentials)

    def http(_: bytes) -> AnyHandshake:
        return HttpHandshake(credentials)

    def either(first: bytes) -> AnyHandshake:
        return socks(first) if first[0] in (SOCKS4, SOCKS5) else http(first)

    return {SOCKS.name: socks, HTTP.name: http, MIXED.name: either}


def _forwarders(loop: asyncio.AbstractEventLoop, upstream: Connector) -> ServeOther:
    """Return what serves the requests that are no CONNECT."""
    # No other bridge may have the same name in Via, or chains of bridges would look like loops.
    name = f"netjumper-bridge-{secrets.token_hex(4)}".encode()
    idle: Deadlines[ForwardingSession] = Deadlines(loop, KEEP_ALIVE, ForwardingSession.expire)

    def forward(context: SessionContext, request: object, client: Handoff) -> Session:
        if not isinstance(request, AuthorizedRequest):
            raise TypeError(f"{type(request).__name__} is no request of ours")
        return ForwardingSession(context, upstream, request, client, name, idle)

    return forward
