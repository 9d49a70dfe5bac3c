"""The jump server: challenge, dial, relay."""

import asyncio
import logging
from collections.abc import Sequence

from netjumper.accesslog import ACCESS_LOG
from netjumper.net.dial import Dialer, Permit, permit_all
from netjumper.net.listener import Place
from netjumper.net.options import DEFAULTS, SocketOptions
from netjumper.net.resolver import Resolver
from netjumper.service import Door, Service
from netjumper.tunnels import TunnelLimits, Tunnels
from netjumper.wire import ServerHandshake, Verify


def jump_server(
    *,
    listen: Sequence[Place],
    verify: Verify,
    permit: Permit = permit_all,
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
        verify: the credentials: decides whose answer is right (`netjumper.wire.verify_with`).
        permit: the guard: decides which targets may be dialled.
        dial_timeout: seconds that reaching a target may take, its look-up included.
        limits: the tunnels' deadlines.
        resolver: looks targets' names up.
        log: where each tunnel's end is told.
        listening: the options of the sockets that clients connect to.
        dialling: the options of the connections to targets.
    """
    loop = asyncio.get_running_loop()
    dialer = Dialer(loop, timeout=dial_timeout, permit=permit, resolver=resolver, options=dialling)

    def handshake(_: bytes) -> ServerHandshake:
        return ServerHandshake(verify)

    doors = [Door("netjumper", place, handshake, speaks_first=True) for place in listen]
    tunnels = Tunnels(loop, dialer, limits, log=log, peer_timeout=listening.peer_timeout)
    return Service(tunnels, doors, listening)
