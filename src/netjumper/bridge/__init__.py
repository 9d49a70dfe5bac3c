"""The bridge: SOCKS and HTTP proxy requests on loopback, each turned into a tunnel."""

import asyncio
from collections.abc import Callable, Sequence

from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http import HttpHandshake
from netjumper.bridge.socks import SOCKS4, SOCKS5, SocksHandshake
from netjumper.handshake import ListeningHandshake
from netjumper.net.dial import Connector
from netjumper.net.listener import ListenAddress
from netjumper.request import TunnelRequest
from netjumper.service import Door, Service
from netjumper.tunnels import TunnelLimits, Tunnels


def bridge(
    *,
    upstream: Connector,
    socks: Sequence[ListenAddress] = (),
    http: Sequence[ListenAddress] = (),
    mixed: Sequence[ListenAddress] = (),
    credentials: Credentials | None = None,
    limits: TunnelLimits | None = None,
) -> Service:
    """Return a bridge on the running loop, not yet listening.

    Args:
        upstream: what leads to a target: a `netjumper.jumphost.JumpHost`.
        socks: where SOCKS4, 4a and 5 are spoken.
        http: where HTTP is spoken.
        mixed: where the first byte of a connection decides.
        credentials: who may use it; None lets everybody who can connect.
        limits: the tunnels' deadlines.
    """

    def speak_socks(_: bytes) -> ListeningHandshake[TunnelRequest]:
        return SocksHandshake(credentials)

    def speak_http(_: bytes) -> ListeningHandshake[TunnelRequest]:
        return HttpHandshake(credentials)

    def speak_either(first: bytes) -> ListeningHandshake[TunnelRequest]:
        return speak_socks(first) if first[0] in (SOCKS4, SOCKS5) else speak_http(first)

    kinds: list[
        tuple[str, Sequence[ListenAddress], Callable[[bytes], ListeningHandshake[TunnelRequest]]]
    ] = [("socks", socks, speak_socks), ("http", http, speak_http), ("mixed", mixed, speak_either)]
    doors = [
        Door(name, address, choose) for name, addresses, choose in kinds for address in addresses
    ]
    return Service(Tunnels(asyncio.get_running_loop(), upstream, limits), doors)
