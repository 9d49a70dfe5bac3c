"""The command `netjumper-bridge`: a SOCKS and HTTP proxy whose tunnels leave at a jump server."""

import argparse
import asyncio
import contextlib
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

from netjumper import __version__
from netjumper.address import Address
from netjumper.bridge import bridge
from netjumper.bridge.credentials import Credentials
from netjumper.cli import process
from netjumper.cli.files import read_users
from netjumper.cli.options import IN_ARGV, PLACES, Flags, Parser, layer_of
from netjumper.cli.sources import Loaded, load
from netjumper.console import Start, bridge_lines
from netjumper.jumphost import JumpHost
from netjumper.net.dial import Dialer
from netjumper.net.listener import ListenAddress
from netjumper.server import jump_server
from netjumper.service import Service
from netjumper.settings import BridgeSettings
from netjumper.tunnels import TunnelLimits
from netjumper.wire import verify_with

EMBEDDED_GRACE = 1.0
"""Seconds that the embedded jump server has to pass on what the bridge has given it."""

_EXAMPLES = """\
examples:
  netjumper-bridge --jump home.example.net:9527 --secret-file secret
      SOCKS on 127.0.0.1:1080 and HTTP on 127.0.0.1:8118, through the jump server at home
  netjumper-bridge --jump home.example.net:9527 --secret-file secret \\
        --mixed 127.0.0.1:3128 --socks unix:/run/netjumper/socks
      both protocols on one port, and SOCKS on a unix socket
  netjumper-bridge --jump home.example.net:9527 --secret-file secret \\
        --http 192.0.2.7:8118 --auth-file users
      let other machines in, with a password
  netjumper-bridge --embedded
      try it out without a jump server elsewhere

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge`."""
    parser = Parser(
        "netjumper-bridge",
        "The bridge: a SOCKS and HTTP proxy for programs on this machine. Each connection they "
        "ask for\nis made by the jump server.",
        _EXAMPLES + PLACES.format(table=BridgeSettings.table),
        "netjumper-bridge (--jump HOST:PORT | --embedded) [options]",
    )
    flags = Flags(parser, BridgeSettings)
    flags.group("the jump server", "jump", "secret_file", "embedded")
    flags.group(
        "listening (default: --socks 127.0.0.1:1080 --http 127.0.0.1:8118)",
        "socks",
        "http",
        "mixed",
        "auth",
        "auth_file",
    )
    flags.group(
        "timeouts",
        "handshake_timeout",
        "dial_timeout",
        "jump_timeout",
        "idle_timeout",
        "grace_period",
    )
    flags.common()
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        argv: the command line without the command's name; None is the process's own.
    """
    return process.run("netjumper-bridge", lambda: _command(build_parser().parse_args(argv)))


def _command(arguments: argparse.Namespace) -> None:
    flags = layer_of(arguments, BridgeSettings)
    loaded = load(BridgeSettings, flags, getattr(arguments, "config", None))
    if "auth" in flags.values:
        loaded = loaded.warned(IN_ARGV.format("the password", "NETJUMPER_AUTH", "--auth-file"))
    secret, users = _secret(loaded), _users(loaded)
    if hasattr(arguments, "check"):
        process.tell_valid(loaded)
    else:
        process.run_loop(_serve(loaded, secret, users))


def _secret(loaded: Loaded[BridgeSettings]) -> bytes:
    return secrets.token_bytes() if loaded.settings.embedded else loaded.secret()


def _users(loaded: Loaded[BridgeSettings]) -> Mapping[str, str] | None:
    """Return the passwords by user, None where everybody may come in."""
    settings = loaded.settings
    if settings.auth_file is not None:
        return read_users(settings.auth_file, loaded.origin("auth_file"))
    if settings.auth is None:
        return None
    user, _, password = settings.auth.get_secret_value().partition(":")
    return {user: password}


async def _serve(
    loaded: Loaded[BridgeSettings], secret: bytes, users: Mapping[str, str] | None
) -> None:
    settings = loaded.settings
    loop = asyncio.get_running_loop()
    async with _jump_host(settings, secret) as (address, told):
        service = bridge(
            upstream=JumpHost(
                loop,
                address,
                secret,
                Dialer(loop, timeout=settings.dial_timeout),
                timeout=settings.jump_timeout,
            ),
            **settings.doors,
            credentials=None if users is None else Credentials(users),
            limits=TunnelLimits(
                handshake=settings.handshake_timeout, idle=settings.idle_timeout or None
            ),
        )

        def start(service: Service) -> Start:
            return Start(
                title=f"netjumper-bridge {__version__}",
                listening=service.listening,
                route=told,
                paste=bridge_lines(service.listening, password=users is not None),
            )

        await process.serve(service, loaded, start)


@contextlib.asynccontextmanager
async def _jump_host(settings: BridgeSettings, secret: bytes) -> AsyncIterator[tuple[Address, str]]:
    """Give the jump host's address and a line about it; with `embedded` it is in this process."""
    if settings.jump is not None:
        yield settings.jump, f"through jump host {settings.jump}"
        return
    # The bridge tells of every tunnel; the same tunnel's other end would be told twice.
    log = logging.getLogger("netjumper.embedded")
    log.disabled = True
    server = jump_server(
        listen=[ListenAddress("127.0.0.1", 0)],
        verify=verify_with(secret),
        dial_timeout=settings.dial_timeout,
        log=log,
    )
    server.open()
    try:
        yield (
            Address.parse(server.address_of("netjumper")),
            "through a jump server in this process (embedded)",
        )
    finally:
        await server.close(EMBEDDED_GRACE)


if __name__ == "__main__":
    sys.exit(main())
