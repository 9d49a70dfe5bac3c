"""Composes the jump server: clients authenticate, their targets are dialled and relayed."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from netjumper.access_log import ACCESS_LOG
from netjumper.addressing.listeners import CLEAR, TLS, ListenerKind
from netjumper.net.connector import IsOwnListener, TargetFilter
from netjumper.net.dialer import DEFAULT_LOOKUP_TIMEOUT_S, Dialer
from netjumper.net.endpoint import Endpoint, MakeEndpoint
from netjumper.net.listening_sockets import ListenTarget
from netjumper.net.resolver import Resolver
from netjumper.net.socket_options import DEFAULTS, SocketOptions
from netjumper.protocol.wire import ServerHandshake
from netjumper.server.accounts import Accounts
from netjumper.server.clients import Clients
from netjumper.server.own_connections import OwnConnections
from netjumper.sessions.admission import Admission, AdmissionLimits
from netjumper.sessions.manager import SessionManager, TunnelLimits
from netjumper.sessions.service import ListenerConfig, Service
from netjumper.tls.context import Encryption, ReloadableTls

MIN_NOT_FOUND_TIME_S = 0.25
"""Seconds until a client learns that a name does not exist, or is told so: look-ups in the local
network are faster than others."""


def jump_server(
    *,
    listen: Sequence[ListenTarget] = (),
    listen_tls: Sequence[ListenTarget] = (),
    encryption: Encryption | ReloadableTls | None = None,
    clients: Clients,
    is_own_listener: IsOwnListener | None = None,
    dial_timeout: float = 5.0,
    lookup_timeout: float = DEFAULT_LOOKUP_TIMEOUT_S,
    limits: TunnelLimits | None = None,
    admission: AdmissionLimits | None = None,
    resolver: Resolver | None = None,
    log: logging.Logger = ACCESS_LOG,
    listening: SocketOptions = DEFAULTS,
    dialling: SocketOptions = DEFAULTS,
) -> Service[SessionManager]:
    """Return a jump server on the running loop, not yet listening.

    Args:
        listen, listen_tls: addresses to listen on without and with TLS, or listening sockets.
        encryption: makes the TLS endpoints; required for `listen_tls`.
        clients: the clients, with the guard of each.
        is_own_listener: whether another part of this process listens at an address.
        dial_timeout: seconds for connecting to a target.
        lookup_timeout: seconds for looking up its name before that.
        limits, admission: deadlines of sessions; limits on connections and tunnels.
        resolver: looks up the names of targets.
        log: the access log.
        listening, dialling: socket options of the listeners; of the connections to targets.

    Raises:
        ValueError: `listen_tls` is given without `encryption`.
    """
    if listen_tls and encryption is None:
        raise ValueError("listen_tls needs encryption")
    loop = asyncio.get_running_loop()
    own = OwnConnections(loop, lambda: service.ports)
    resolver = resolver or Resolver(loop)
    dialers = _Dialers(loop, dial_timeout, lookup_timeout, resolver, dialling, own)
    sessions = SessionManager(
        loop,
        Admission(loop, Accounts(clients, dialers), admission),
        limits,
        log=log,
        peer_timeout=listening.peer_timeout,
    )
    configs = _listener_configs(clients, listen, listen_tls, encryption, own.includes)
    service = Service(sessions, configs, listening)
    dialers.own_listeners = [it for it in (service.listens_at, is_own_listener) if it]
    return service


class _Dialers:
    """Makes the dialers of clients.

    Args:
        loop: the running loop.
        timeout: seconds for connecting to a target.
        lookup_timeout: seconds for looking up its name before that.
        resolver: looks up the names of targets.
        options: socket options of the connections to targets.
        own_connections: recognizes those that come back to this jump server.

    Attributes:
        own_listeners: each returns whether a part of this process listens at an address, which
            is then refused as a target.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout: float,
        lookup_timeout: float,
        resolver: Resolver,
        options: SocketOptions,
        own_connections: OwnConnections,
    ) -> None:
        self._loop = loop
        self._timeout = timeout
        self._lookup_timeout = lookup_timeout
        self._resolver = resolver
        self._options = options
        self._own_connections = own_connections
        self.own_listeners: Sequence[IsOwnListener] = ()

    def __call__(self, guard: TargetFilter) -> Dialer:
        """Return a dialer for the targets that a guard allows."""
        return Dialer(
            self._loop,
            timeout=self._timeout,
            lookup_timeout=self._lookup_timeout,
            min_not_found_time=MIN_NOT_FOUND_TIME_S,
            target_filter=guard,
            is_own_listener=self._is_own_listener,
            resolver=self._resolver,
            options=self._options,
            dialled=self._own_connections.dialled,
        )

    def _is_own_listener(self, ip: str, port: int) -> bool:
        return any(listens_at(ip, port) for listens_at in self.own_listeners)


def _listener_configs(
    clients: Clients,
    listen: Sequence[ListenTarget],
    listen_tls: Sequence[ListenTarget],
    encryption: Encryption | ReloadableTls | None,
    rejects: Callable[[str], bool],
) -> list[ListenerConfig]:
    def config(
        kind: ListenerKind, target: ListenTarget, make_endpoint: MakeEndpoint
    ) -> ListenerConfig:
        return ListenerConfig(
            kind.name,
            target,
            lambda _: ServerHandshake(clients.verify),
            speaks_first=True,
            make_endpoint=make_endpoint,
            rejects=rejects,
        )

    configs = [config(CLEAR, target, Endpoint) for target in listen]
    if encryption is not None:
        configs += [config(TLS, target, encryption.endpoint) for target in listen_tls]
    return configs
