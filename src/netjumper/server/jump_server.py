"""Composes the jump server: clients authenticate, their targets are dialled and relayed."""

import asyncio
import logging
from collections.abc import Sequence

from netjumper.access_log import ACCESS_LOG
from netjumper.addressing.listeners import CLEAR, TLS, ListenerKind
from netjumper.net.connector import IsOwnListener, TargetFilter
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint, MakeEndpoint
from netjumper.net.listening_sockets import ListenTarget
from netjumper.net.resolver import Resolver
from netjumper.net.socket_options import DEFAULTS, SocketOptions
from netjumper.protocol.wire import ServerHandshake
from netjumper.server.accounts import Accounts
from netjumper.server.clients import Clients
from netjumper.sessions.admission import Admission, AdmissionLimits
from netjumper.sessions.manager import SessionManager, TunnelLimits
from netjumper.sessions.service import ListenerConfig, Service
from netjumper.tls.context import Encryption, ReloadableTls


def jump_server(
    *,
    listen: Sequence[ListenTarget] = (),
    listen_tls: Sequence[ListenTarget] = (),
    encryption: Encryption | ReloadableTls | None = None,
    clients: Clients,
    is_own_listener: IsOwnListener | None = None,
    dial_timeout: float = 5.0,
    limits: TunnelLimits | None = None,
    admission: AdmissionLimits | None = None,
    resolver: Resolver | None = None,
    log: logging.Logger = ACCESS_LOG,
    listening: SocketOptions = DEFAULTS,
    dialling: SocketOptions = DEFAULTS,
) -> Service:
    """Return a jump server on the running loop, not yet listening.

    Args:
        listen: addresses to listen on, or sockets that listen already.
        listen_tls: the same for connections with TLS.
        encryption: makes the TLS endpoints.
        clients: the clients, with the guard of each.
        is_own_listener: returns whether another part of this process listens at an address, which
            is then refused as a target.
        dial_timeout: seconds for reaching a target, its look-up included.
        limits: the deadlines of sessions.
        admission: the limits on connections and tunnels.
        resolver: looks up the names of targets.
        log: the access log.
        listening: options of the sockets that clients connect to.
        dialling: options of the connections to targets.

    Raises:
        ValueError: `listen_tls` is given without `encryption`.
    """
    if listen_tls and encryption is None:
        raise ValueError("listen_tls needs encryption")
    loop = asyncio.get_running_loop()
    resolver = resolver or Resolver(loop)

    def listens_at(ip: str, port: int) -> bool:
        return service.listens_at(ip, port) or (
            is_own_listener is not None and is_own_listener(ip, port)
        )

    def dialer(guard: TargetFilter) -> Dialer:
        return Dialer(
            loop,
            timeout=dial_timeout,
            target_filter=guard,
            is_own_listener=listens_at,
            resolver=resolver,
            options=dialling,
        )

    def handshake(_: bytes) -> ServerHandshake:
        return ServerHandshake(clients.verify)

    def config(
        kind: ListenerKind, target: ListenTarget, make_endpoint: MakeEndpoint
    ) -> ListenerConfig:
        return ListenerConfig(
            kind.name, target, handshake, speaks_first=True, make_endpoint=make_endpoint
        )

    configs = [config(CLEAR, target, Endpoint) for target in listen]
    if encryption is not None:
        configs += [config(TLS, target, encryption.endpoint) for target in listen_tls]
    sessions = SessionManager(
        loop,
        Admission(loop, Accounts(clients, dialer), admission),
        limits,
        log=log,
        peer_timeout=listening.peer_timeout,
    )
    service = Service(sessions, configs, listening)
    return service
