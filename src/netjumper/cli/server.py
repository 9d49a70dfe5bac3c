"""The command `netjumper`: the jump server, and `netjumper keygen`."""

import argparse
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from netjumper import __version__
from netjumper.cli import keygen, process, server_healthcheck, serving, share
from netjumper.cli.commands import Command, add_commands, picked, refuse_misspelt
from netjumper.cli.completion import with_completion
from netjumper.cli.entrance import Listeners
from netjumper.cli.inherit import server_sockets
from netjumper.cli.options import IN_ARGV, PLACES, Flags, Parser, layer_of
from netjumper.cli.sockets import check_options, server_options
from netjumper.cli.sources import Layer, Loaded, load
from netjumper.console import Start, server_lines
from netjumper.encryption import (
    Encryption,
    EncryptionError,
    server_with_certificate,
    server_with_secrets,
)
from netjumper.guard import Guard
from netjumper.net.listener import Place
from netjumper.server import CLEAR, TLS, jump_server
from netjumper.service import Service
from netjumper.settings import ServerSettings, SettingsError
from netjumper.tunnels import TunnelLimits
from netjumper.wire import verify_with

Places = Mapping[str, Sequence[Place]]
"""Where to listen, by the name of the door."""
_USAGE = "netjumper [options] [PORT [SECRET]]\n       netjumper COMMAND [options]"
_EXAMPLES = """\
examples:
  (umask 077; netjumper keygen > secret)
      make a secret; the bridge needs the same one
  netjumper --secret-file secret
      serve on port 9527 of all addresses
  netjumper --listen 192.0.2.7:9527 --listen '[2001:db8::7]:9527' \\
        --secret-file secret
      serve on two addresses
  NETJUMPER_SECRET=... netjumper 9527
      take the secret from the environment
  netjumper --config /etc/netjumper/config.toml --check
      check a settings file

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper`."""
    parser = Parser(
        "netjumper",
        "The jump server: leads those who know the secret to any host it reaches itself.",
        _EXAMPLES + PLACES.format(table=ServerSettings.table),
        _USAGE,
    )
    parser.add_argument(
        "port", nargs="?", metavar="PORT", help="listen on this port of all addresses"
    )
    parser.add_argument(
        "argv_secret",
        nargs="?",
        metavar="SECRET",
        help="the secret, for every user of this machine to read; better give --secret-file FILE",
    )
    add_commands(parser, COMMANDS)
    flags = Flags(parser, ServerSettings)
    flags.group("serving", "listen", "listen_tls", "secret_file", "max_parked_per_client")
    flags.tls()
    flags.group("targets (docs/security.md)", "allow", "deny")
    flags.timeouts()
    flags.workers()
    flags.sockets()
    flags.common()
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        argv: the command line without the command's name; None is the process's own.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    return process.run("netjumper", lambda: _command(words))


def _command(words: Sequence[str]) -> int:
    if command := picked(COMMANDS, words):
        return command.run(words[1:])
    refuse_misspelt("netjumper", COMMANDS, words)
    arguments = build_parser().parse_args(words)
    loaded = load(ServerSettings, _flags(arguments), getattr(arguments, "config", None))
    if hasattr(arguments, "argv_secret"):
        loaded = loaded.warned(IN_ARGV.format("the secret", "NETJUMPER_SECRET", "--secret-file"))
    secret = loaded.secret()
    check_options(loaded, server_options)
    loaded, sockets = server_sockets(loaded)
    doors: Places = sockets or loaded.settings.doors
    encryption = _encryption(loaded, secret, doors)
    if hasattr(arguments, "check"):
        serving.tell_valid(loaded)
    elif loaded.settings.workers == 1:
        process.run_loop(_serve(loaded, secret, encryption, doors))
    else:
        _supervise(loaded, secret, encryption, doors)
    return process.OK


def _encryption(loaded: Loaded[ServerSettings], secret: bytes, doors: Places) -> Encryption | None:
    settings = loaded.settings
    certificate = settings.certificate_file
    where = loaded.origin("listen_tls" if certificate is None else "certificate_file")
    if not doors.get(TLS):
        if certificate is not None:
            raise SettingsError(f"{where}: nothing listens with TLS; give listen_tls too")
        return None
    try:
        if certificate is None:
            return server_with_secrets([("", secret)])
        return server_with_certificate(certificate, settings.client_ca_file)
    except EncryptionError as error:
        raise SettingsError(f"{where}: {error}") from None


COMMANDS = with_completion(
    "netjumper",
    build_parser,
    [
        Command("keygen", "print a fresh 256-bit secret and stop", keygen.build_parser, keygen.run),
        Command(
            "share",
            "print what a bridge needs to be given for this jump server",
            share.build_parser,
            share.run,
        ),
        Command(
            "healthcheck",
            "ask the jump server on this machine whether it answers",
            server_healthcheck.build_parser,
            server_healthcheck.run,
        ),
    ],
)


def check_health(words: Sequence[str]) -> int:
    """Ask the jump server that was started with these words, tell in one line, and return 0.

    Raises:
        Unhealthy: it does not answer.
        SettingsError: settings are wrong.
    """
    arguments = build_parser().parse_args(words)
    return server_healthcheck.check(_flags(arguments), getattr(arguments, "config", None))


def _flags(arguments: argparse.Namespace) -> Layer:
    layer = layer_of(arguments, ServerSettings)
    if hasattr(arguments, "argv_secret"):
        layer.give("secret", arguments.argv_secret, "SECRET")
    if hasattr(arguments, "port"):
        # Not repeated in the message: with the two swapped it is the secret.
        if not (arguments.port.isascii() and arguments.port.isdigit()):
            raise SettingsError("PORT: expected a number (see netjumper --help)")
        listen = [*layer.values.get("listen", ()), f":{arguments.port}"]
        layer.give("listen", listen, layer.where.get("listen", "PORT"))
    return layer


async def _serve(
    loaded: Loaded[ServerSettings], secret: bytes, encryption: Encryption | None, doors: Places
) -> None:
    service = _service(loaded.settings, secret, encryption, doors)
    await serving.serve(service, loaded, _start)


def _supervise(
    loaded: Loaded[ServerSettings], secret: bytes, encryption: Encryption | None, doors: Places
) -> None:
    settings = loaded.settings

    def work(listeners: Listeners, link: socket.socket) -> None:
        process.run_loop(_work(settings, secret, encryption, listeners, link))

    serving.supervise(
        "netjumper",
        loaded,
        [(name, place) for name, places in doors.items() for place in places],
        server_options(settings).listening,
        partial(_start, route=f"{settings.workers} workers; limits are each one's own"),
        work,
    )


async def _work(
    settings: ServerSettings,
    secret: bytes,
    encryption: Encryption | None,
    listeners: Listeners,
    link: socket.socket,
) -> None:
    service = _service(settings, secret, encryption, listeners)
    await serving.work(service, settings.grace_period, link)


def _service(
    settings: ServerSettings, secret: bytes, encryption: Encryption | None, doors: Places
) -> Service:
    options = server_options(settings)
    return jump_server(
        listen=doors.get(CLEAR, ()),
        listen_tls=doors.get(TLS, ()),
        encryption=encryption,
        verify=verify_with(secret),
        guard=Guard(settings.allow, settings.deny),
        dial_timeout=settings.dial_timeout,
        limits=TunnelLimits(
            handshake=settings.handshake_timeout,
            parked=settings.parked_timeout,
            most_parked=settings.max_parked_per_client,
            idle=settings.idle_timeout or None,
        ),
        listening=options.listening,
        dialling=options.dialling,
    )


def _start(listening: serving.Listening, route: str = "") -> Start:
    return Start(
        title=f"netjumper {__version__}",
        listening=listening,
        route=route,
        paste=server_lines(listening),
    )


if __name__ == "__main__":
    sys.exit(main())
