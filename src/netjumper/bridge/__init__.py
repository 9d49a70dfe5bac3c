"""The bridge: SOCKS and HTTP proxy requests on loopback, each turned into a tunnel."""

import asyncio
import secrets
from collections.abc import Sequence

from netjumper.bridge.credentials import Credentials
from netjumper.bridge.forwarder import KEEP_ALIVE, Forwarder
from netjumper.bridge.http import Authorized, HttpHandshake
from netjumper.bridge.socks import SOCKS4, SOCKS5, SocksHandshake
from netjumper.net.deadlines import Deadlines
from netjumper.net.dial import Connector
from netjumper.net.endpoint import Endpoint
from netjumper.net.listener import Place
from netjumper.service import Door, Service
from netjumper.session import Session
from netjumper.tunnel import AnyHandshake, ChooseHandshake
from netjumper.tunnels import TunnelLimits, Tunnels


def bridge(
    *,
    upstream: Connector,
    socks: Sequence[Place] = (),
    http: Sequence[Place] = (),
    mixed: Sequence[Place] = (),
    credentials: Credentials | None = None,
    limits: TunnelLimits | None = None,
) -> Service:
    """Return a bridge on the running loop, not yet listening.

    Args:
        upstream: what leads to a target: a `netjumper.jumphost.JumpHost`.
        socks: where SOCKS4, 4a and 5 are spoken; a socket that listens already is one such place.
        http: where HTTP is spoken.
        mixed: where the first byte of a connection decides.
        credentials: who may use it; None lets everybody who can connect.
        limits: the tunnels' deadlines.
    """

    loop = asyncio.get_running_loop()
    # No other bridge may have the same name in Via, or chains of bridges would look like loops.
    name = f"netjumper-bridge-{secrets.token_hex(4)}".encode()
    idle: Deadlines[Forwarder] = Deadlines(loop, KEEP_ALIVE, Forwarder.expire)

    def forward(
        tunnels: Tunnels, request: object, client: Endpoint, peer: str, ended: bool
    ) -> Session:
        if not isinstance(request, Authorized):
            raise TypeError(f"{type(request).__name__} is no request of ours")
        return Forwarder(tunnels, request, client, peer, ended, name, idle)

    def speak_socks(_: bytes) -> AnyHandshake:
        return SocksHandshake(credentials)

    def speak_http(_: bytes) -> AnyHandshake:
        return HttpHandshake(credentials)

    def speak_either(first: bytes) -> AnyHandshake:
        return speak_socks(first) if first[0] in (SOCKS4, SOCKS5) else speak_http(first)

    kinds: list[tuple[str, Sequence[Place], ChooseHandshake]] = [
        ("socks", socks, speak_socks),
        ("http", http, speak_http),
        ("mixed", mixed, speak_either),
    ]
    doors = [Door(name, place, choose) for name, places, choose in kinds for place in places]
    return Service(Tunnels(loop, upstream, limits, serve_other=forward), doors)
