"""Builds a bridge: SOCKS and HTTP listeners whose requests become tunnels through jump hosts."""

import asyncio
import secrets
from collections.abc import Sequence

from netjumper.addressing.listeners import HTTP, MIXED, SOCKS
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.bridge.http.session import KEEP_ALIVE_S, ForwardingSession
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


def bridge(
    *,
    upstream: Connector,
    socks: Sequence[ListenTarget] = (),
    http: Sequence[ListenTarget] = (),
    mixed: Sequence[ListenTarget] = (),
    credentials: Credentials | None = None,
    admission: AdmissionLimits | None = None,
    limits: TunnelLimits | None = None,
    listening: SocketOptions = DEFAULTS,
) -> Service[SessionManager]:
    """Return a bridge on the running loop, not yet listening.

    Args:
        upstream: connects to targets, such as `Upstream` or a `JumpHost`.
        socks: addresses or listening sockets for SOCKS4, 4a and 5.
        http: addresses or listening sockets for HTTP.
        mixed: addresses or listening sockets for both; a connection's first byte decides.
        credentials: the user names and passwords; None accepts every client.
        admission: limits on connections and failed authentications.
        limits: the tunnels' deadlines.
        listening: the options of the listening sockets.
    """
    loop = asyncio.get_running_loop()
    targets = {SOCKS.name: socks, HTTP.name: http, MIXED.name: mixed}
    configs = [
        ListenerConfig(name, target, choose)
        for name, choose in _handshakes(credentials).items()
        for target in targets[name]
    ]
    any_client = Account(upstream)
    tunnels = SessionManager(
        loop,
        Admission(loop, lambda _: any_client, admission),
        limits,
        serve_other=_serve_forwarding(loop, upstream),
        peer_timeout=listening.peer_timeout,
    )
    return Service(tunnels, configs, listening)


def _handshakes(credentials: Credentials | None) -> dict[str, ChooseHandshake]:
    """Return the functions that choose a connection's handshake, by the name of its listener."""

    def socks(_: bytes) -> AnyHandshake:
        return SocksHandshake(credentials)

    def http(_: bytes) -> AnyHandshake:
        return HttpHandshake(credentials)

    def mixed(first: bytes) -> AnyHandshake:
        return socks(first) if first[0] in (SOCKS4, SOCKS5) else http(first)

    return {SOCKS.name: socks, HTTP.name: http, MIXED.name: mixed}


def _serve_forwarding(loop: asyncio.AbstractEventLoop, upstream: Connector) -> ServeOther:
    """Return the function that starts a session for plain HTTP requests."""
    # Every bridge needs its own name in Via, or chains of bridges would look like loops.
    name = f"netjumper-bridge-{secrets.token_hex(4)}".encode()
    idle: Deadlines[ForwardingSession] = Deadlines(loop, KEEP_ALIVE_S, ForwardingSession.expire)

    def forward(context: SessionContext, request: object, client: Handoff) -> Session:
        if not isinstance(request, AuthorizedRequest):
            raise TypeError(f"{type(request).__name__} is not an AuthorizedRequest")
        return ForwardingSession(context, upstream, request, client, name, idle)

    return forward
