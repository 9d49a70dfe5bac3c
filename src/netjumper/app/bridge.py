"""What `netjumper-bridge` and its sub-commands share: a bridge made out of settings."""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData, JumpPolicy
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.listeners import CLEAR, HTTP, MIXED, SOCKS
from netjumper.addressing.target_rules import Rule
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
from netjumper.server.guard import Guard
from netjumper.server.jump_server import jump_server
from netjumper.sessions.manager import TunnelLimits
from netjumper.sessions.service import Service
from netjumper.settings.bridge import BridgeSettings, RunningBridge
from netjumper.settings.files import read_users
from netjumper.settings.loader import Loaded, Source, load
from netjumper.settings.messages import IN_ARGV

EMBEDDED_ALLOWS = (Rule.parse("127.0.0.0/8"), Rule.parse("::1"))
"""Who can use the bridge on this machine can connect there anyway."""
EMBEDDED_GRACE = 1.0
"""Seconds that the embedded jump server has to pass on what the bridge has given it."""


def load_bridge(
    flags: Source, config: str | None, model: type[BridgeSettings] = BridgeSettings
) -> Loaded[BridgeSettings]:
    """Return the settings of a bridge, with warnings: a secret in argv, a way in the clear.

    Args:
        flags: what the command line gave.
        config: the settings file's path that the command line gave.
        model: `RunningBridge` or `Unopened` where none is to be started.

    Raises:
        SettingsError: something is wrong with them.
    """
    loaded = load(model, flags, config)
    if "auth" in flags.values:
        loaded = loaded.with_warning(
            IN_ARGV.format("the password", "NETJUMPER_AUTH", "--auth-file")
        )
    jump = loaded.settings.jump
    if "jump" in flags.values and any(it.secret for it in jump):
        told = IN_ARGV.format("a jump host's secret", "NETJUMPER_JUMP", "the settings file")
        loaded = loaded.with_warning(told)
    if model is not RunningBridge and any(it.tls for it in jump):
        for clear in (it.address for it in jump if not it.tls):
            loaded = loaded.with_warning(
                f"requests may go in the clear to jump host {clear}, though others have TLS"
            )
    return loaded


def users_of(loaded: Loaded[BridgeSettings]) -> Mapping[str, str] | None:
    """Return the passwords by user, None where everybody may come in.

    Raises:
        SettingsError: their file cannot be used.
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
) -> AsyncIterator[tuple[Service, str]]:
    """Give a bridge that is not open yet, and a line about the way its tunnels take.

    Args:
        settings: the bridge's.
        hosts: those that its tunnels lead through; none with `embedded`.
        users: the passwords by user, None lets everybody in.
        sockets: those to listen on instead of the addresses of the settings, where there are any.
    """
    limits = TunnelLimits(handshake=settings.handshake_timeout, idle=settings.idle_timeout or None)
    targets: Mapping[str, Sequence[ListenTarget]] = sockets or settings.listeners
    opened: list[Service] = []

    def listens_at(ip: str, port: int) -> bool:
        return any(it.listens_at(ip, port) for it in opened)

    async with _reached(settings, hosts, listens_at) as (reached, told):
        with _pools(settings, reached) as pools:
            upstream = Upstream(pools, _policy(settings), EarlyData(settings.early_data))
            service = bridge(
                upstream=upstream,
                socks=targets.get(SOCKS.name, ()),
                http=targets.get(HTTP.name, ()),
                mixed=targets.get(MIXED.name, ()),
                credentials=None if users is None else Credentials(users),
                limits=limits,
                listening=bridge_options(settings).listening,
            )
            opened.append(service)
            yield service, told


def route_of(settings: BridgeSettings) -> str:
    """Return a line about the jump hosts; there are some."""
    names = ", ".join(f"{it.address} (TLS)" if it.tls else str(it.address) for it in settings.jump)
    several = f"s {names} ({settings.jump_policy})"
    return f"through jump host{several if len(settings.jump) > 1 else f' {names}'}"


@contextlib.contextmanager
def _pools(settings: BridgeSettings, hosts: Sequence[KnownHost]) -> Iterator[list[ConnectionPool]]:
    """Give what keeps connections to each jump host."""
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
    dialer = Dialer(loop, timeout=settings.dial_timeout, options=options, endpoint=endpoint)
    return JumpHost(loop, known.address, known.secret, dialer, settings.jump_timeout)


def _policy(settings: BridgeSettings) -> Balancing:
    return balancing_for(JumpPolicy(settings.jump_policy), [it.weight for it in settings.jump])


@contextlib.asynccontextmanager
async def _reached(
    settings: BridgeSettings, hosts: Sequence[KnownHost], is_own_listener: IsOwnListener
) -> AsyncIterator[tuple[Sequence[KnownHost], str]]:
    """Give the jump hosts and a line about them; with `embedded` it is one in this process."""
    if not settings.embedded:
        yield hosts, route_of(settings)
        return
    secret = secrets.token_bytes()
    # The bridge tells of every tunnel; the same tunnel's other end would be told twice.
    log = logging.getLogger("netjumper.embedded")
    log.disabled = True
    server = jump_server(
        listen=[ListenAddress("127.0.0.1", 0)],
        clients=single_secret(secret, Guard(EMBEDDED_ALLOWS)),
        is_own_listener=is_own_listener,
        dial_timeout=settings.dial_timeout,
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
        await server.close(EMBEDDED_GRACE)
