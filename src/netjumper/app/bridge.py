"""Builds a bridge from settings, for `netjumper-bridge` and its sub-commands."""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.listeners import CLEAR, HTTP, MIXED, SOCKS
from netjumper.addressing.target_rules import Rule
from netjumper.app.clients import guard_of
from netjumper.app.jump_hosts import KnownHost
from netjumper.app.socket_options import bridge_options, embedded_options
from netjumper.bridge.bridge import bridge
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.upstream.balancing import Balancing, balancing_for
from netjumper.bridge.upstream.pool import ConnectionPool, PoolLimits
from netjumper.bridge.upstream.upstream import Upstream
from netjumper.client.jump_host import JumpHost
from netjumper.net.connector import IsOwnListener
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint
from netjumper.net.listening_sockets import ListenTarget
from netjumper.net.socket_options import SocketOptions
from netjumper.server.clients import single_secret
from netjumper.server.jump_server import jump_server
from netjumper.sessions.admission import AdmissionLimits
from netjumper.sessions.manager import SessionManager, TunnelLimits
from netjumper.sessions.service import Service
from netjumper.settings.bridge import BridgeSettings, RunningBridge
from netjumper.settings.files import read_users
from netjumper.settings.loaded import Loaded
from netjumper.settings.loader import load
from netjumper.settings.messages import VISIBLE_IN_ARGV
from netjumper.settings.sources import CommandLine

EMBEDDED_ALLOW = (Rule.parse("127.0.0.0/8"), Rule.parse("::1"))
"""What the embedded jump server permits: clients of the bridge are on this machine anyway."""
MAX_UNAUTHENTICATED = 1000
"""Unauthenticated connections at once if a password is required; one more evicts another."""
EMBEDDED_GRACE_S = 1.0
"""Seconds that the embedded jump server has to forward what the bridge has sent to it."""


def load_bridge(
    given: CommandLine, model: type[BridgeSettings] = BridgeSettings
) -> Loaded[BridgeSettings]:
    """Return the settings of a bridge, with warnings about secrets in argv and missing TLS.

    Args:
        given: what the command line gave.
        model: `RunningBridge` or `UpstreamSettings` for commands that start no bridge.

    Raises:
        SettingsError: some settings cannot be used.
    """
    loaded = load(model, given)
    if "auth" in given.values:
        loaded = loaded.with_warning(
            VISIBLE_IN_ARGV.format("the password", "NETJUMPER_AUTH", "--auth-file")
        )
    jump = loaded.settings.jump
    if "jump" in given.values and any(it.secret for it in jump):
        warning = VISIBLE_IN_ARGV.format(
            "a jump host's secret", "NETJUMPER_JUMP", "the settings file"
        )
        loaded = loaded.with_warning(warning)
    if model is not RunningBridge and any(it.tls for it in jump):
        for clear in (it.address for it in jump if not it.tls):
            loaded = loaded.with_warning(
                f"requests to jump host {clear} are unencrypted, although others have TLS"
            )
    return loaded


def users_of(loaded: Loaded[BridgeSettings]) -> Mapping[str, str] | None:
    """Return the passwords by user; None if clients need no password.

    Raises:
        SettingsError: the file with the passwords cannot be used.
    """
    settings = loaded.settings
    if settings.auth_file is not None:
        return read_users(settings.auth_file, loaded.origin("auth_file"))
    if settings.auth is None:
        return None
    user, _, password = settings.auth.get_secret_value().partition(":")
    return {user: password}


@contextlib.asynccontextmanager
async def bridge_of(
    settings: BridgeSettings,
    hosts: Sequence[KnownHost],
    users: Mapping[str, str] | None,
    sockets: Mapping[str, Sequence[socket.socket]] | None = None,
) -> AsyncIterator[tuple[Service[SessionManager], str]]:
    """Yield a bridge that is not open yet, and a line about the route of its tunnels.

    Args:
        settings: the bridge's.
        hosts: its jump hosts; none with `embedded`.
        users: the passwords by user; None requires no password.
        sockets: used instead of the addresses of the settings, if there are any.
    """
    limits = TunnelLimits(handshake=settings.handshake_timeout, idle=settings.idle_timeout or None)
    targets: Mapping[str, Sequence[ListenTarget]] = sockets or settings.listeners
    opened: list[Service[SessionManager]] = []

    def listens_at(ip: str, port: int) -> bool:
        return any(it.listens_at(ip, port) for it in opened)

    async with _upstream(settings, hosts, listens_at) as (jump_hosts, route):
        with _pools(settings, jump_hosts) as pools:
            upstream = Upstream(pools, _policy(settings), settings.early_data)
            service = bridge(
                upstream=upstream,
                socks=targets.get(SOCKS.name, ()),
                http=targets.get(HTTP.name, ()),
                mixed=targets.get(MIXED.name, ()),
                credentials=None if users is None else Credentials(users),
                admission=None if users is None else _admission(settings),
                limits=limits,
                listening=bridge_options(settings).listening,
            )
            opened.append(service)
            yield service, route


def _admission(settings: BridgeSettings) -> AdmissionLimits:
    """Return the limits for clients that need a password."""
    return AdmissionLimits(
        unauthenticated=MAX_UNAUTHENTICATED,
        auth_failures=settings.max_auth_failures,
        ban_time=settings.ban_time,
        bans_loopback=False,
    )


def route_of(settings: BridgeSettings) -> str:
    """Return a line about the jump hosts; there is at least one."""
    names = ", ".join(f"{it.address} (TLS)" if it.tls else str(it.address) for it in settings.jump)
    several = f"s {names} ({settings.jump_policy})"
    return f"through jump host{several if len(settings.jump) > 1 else f' {names}'}"


@contextlib.contextmanager
def _pools(settings: BridgeSettings, hosts: Sequence[KnownHost]) -> Iterator[list[ConnectionPool]]:
    """Yield a pool of connections for each jump host."""
    loop = asyncio.get_running_loop()
    options = embedded_options(settings) if settings.embedded else bridge_options(settings).dialling
    limits = PoolLimits(min_size=settings.min_parked, max_size=settings.max_parked)
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(ConnectionPool(_jump_host(loop, it, settings, options), limits))
            for it in hosts
        ]


def _jump_host(
    loop: asyncio.AbstractEventLoop,
    known: KnownHost,
    settings: BridgeSettings,
    options: SocketOptions,
) -> JumpHost:
    endpoint = Endpoint if known.encryption is None else known.encryption.endpoint
    dialer = Dialer(
        loop,
        timeout=settings.dial_timeout,
        lookup_timeout=settings.lookup_timeout,
        options=options,
        endpoint=endpoint,
    )
    return JumpHost(loop, known.address, known.secret, dialer, settings.jump_timeout)


def _policy(settings: BridgeSettings) -> Balancing:
    return balancing_for(settings.jump_policy, [it.weight for it in settings.jump])


@contextlib.asynccontextmanager
async def _upstream(
    settings: BridgeSettings, hosts: Sequence[KnownHost], is_own_listener: IsOwnListener
) -> AsyncIterator[tuple[Sequence[KnownHost], str]]:
    """Yield the jump hosts and a line about them; with `embedded` it is one in this process."""
    if not settings.embedded:
        yield hosts, route_of(settings)
        return
    secret = secrets.token_bytes()
    # The bridge logs every tunnel; the jump server would log the same tunnel once more.
    log = logging.getLogger("netjumper.embedded")
    log.disabled = True
    server = jump_server(
        listen=[ListenAddress("127.0.0.1", 0)],
        clients=single_secret(secret, guard_of(EMBEDDED_ALLOW)),
        is_own_listener=is_own_listener,
        dial_timeout=settings.dial_timeout,
        lookup_timeout=settings.lookup_timeout,
        log=log,
        listening=embedded_options(settings),
        dialling=bridge_options(settings).dialling,
    )
    server.open()
    try:
        yield (
            [KnownHost(Address.parse(server.address_of(CLEAR.name)), secret)],
            "through a jump server in this process (embedded)",
        )
    finally:
        await server.close(EMBEDDED_GRACE_S)
