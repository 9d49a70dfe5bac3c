"""The jump server: challenge, dial, relay."""

import asyncio
import logging
from collections.abc import Sequence

from netjumper.accesslog import ACCESS_LOG
from netjumper.encryption import Encryption
from netjumper.net.dial import Dialer, ListensAt, Permit
from netjumper.net.listener import Place
from netjumper.net.options import DEFAULTS, SocketOptions
from netjumper.net.resolver import Resolver
from netjumper.service import Door, Service
from netjumper.tunnels import TunnelLimits, Tunnels
from netjumper.wire import ServerHandshake, Verify

SERVER_DOORS = CLEAR, TLS = "netjumper", "tls"
"""The names of a jump server's doors."""


def jump_server(
    *,
    listen: Sequence[Place] = (),
    listen_tls: Sequence[Place] = (),
    encryption: Encryption | None = None,
    verify: Verify,
    guard: Permit,
    own: ListensAt | None = None,
    dial_timeout: float = 5.0,
    limits: TunnelLimits | None = None,
    resolver: Resolver | None = None,
    log: logging.Logger = ACCESS_LOG,
    listening: SocketOptions = DEFAULTS,
    dialling: SocketOptions = DEFAULTS,
) -> Service:
    """Return a jump server on the running loop, not yet listening.

    Args:
        listen: where clients connect; a socket that listens already is one such place.
        listen_tls: where they do with TLS.
        encryption: what TLS there is then.
        verify: the credentials: decides whose answer is right (`netjumper.wire.verify_with`).
        guard: decides which targets may be dialled.
        own: where else this process listens, besides the jump server.
        dial_timeout: seconds that reaching a target may take, its look-up included.
        limits: the tunnels' deadlines.
        resolver: looks targets' names up.
        log: where each tunnel's end is told.
        listening: the options of the sockets that clients connect to.
        dialling: the options of the connections to targets.
    """
    loop = asyncio.get_running_loop()

    def listens_at(ip: str, port: int) -> bool:
        return service.listens_at(ip, port) or (own is not None and own(ip, port))

    dialer = Dialer(
        loop,
        timeout=dial_timeout,
        permit=guard,
        own=listens_at,
        resolver=resolver,
        options=dialling,
    )

    def handshake(_: bytes) -> ServerHandshake:
        return ServerHandshake(verify)

    doors = [Door(CLEAR, place, handshake, speaks_first=True) for place in listen]
    if encryption is not None:
        doors += [
            Door(TLS, place, handshake, speaks_first=True, endpoint=encryption.endpoint)
            for place in listen_tls
        ]
    tunnels = Tunnels(loop, dialer, limits, log=log, peer_timeout=listening.peer_timeout)
    service = Service(tunnels, doors, listening)
    return service
