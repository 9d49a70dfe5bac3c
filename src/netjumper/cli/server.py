"""The command `netjumper`: the jump server, and `netjumper keygen`."""

import argparse
import socket
import sys
from collections.abc import Sequence
from functools import partial

from netjumper import __version__
from netjumper.addressing.listeners import SERVER_LISTENERS
from netjumper.app.daemon_options import daemon_options
from netjumper.app.inherited_sockets import server_sockets
from netjumper.app.jump_server import (
    JumpServer,
    ListenTargets,
    Prepare,
    Prepared,
    prepare,
    try_reload,
)
from netjumper.app.socket_options import check_options, server_options
from netjumper.cli import keygen, server_healthcheck, share
from netjumper.cli.arguments import PLACES, Flags, Parser, source_of_flags
from netjumper.cli.check import tell_valid
from netjumper.cli.completion import completion_command
from netjumper.cli.subcommands import Command, add_commands, picked, refuse_misspelt
from netjumper.cli.usage_hints import server_lines
from netjumper.daemon import process, serve
from netjumper.daemon.sighup import unblock_sighup
from netjumper.daemon.worker_sockets import Listeners
from netjumper.errors import SettingsError
from netjumper.logs.terminal import StartSummary
from netjumper.settings.loader import Source, load
from netjumper.settings.messages import IN_ARGV
from netjumper.settings.server import ServerSettings

_LIMITS = (
    *("max_tunnels", "max_tunnels_per_client", "max_tunnels_per_source"),
    *("max_parked_per_client", "max_unauthenticated", "max_auth_failures", "ban_time"),
    *("bandwidth", "bandwidth_per_client"),
)
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
    flags.group("serving", "listen", "listen_tls", "secret_file", "clients_file")
    flags.tls()
    flags.group("targets (docs/security.md)", "allow", "deny")
    flags.group("limits (docs/clients.md)", *_LIMITS)
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
        unblock_sighup()
        return command.run(words[1:])
    refuse_misspelt("netjumper", COMMANDS, words)
    arguments = build_parser().parse_args(words)
    flags, config = _flags(arguments), getattr(arguments, "config", None)
    loaded = load(ServerSettings, flags, config)
    if hasattr(arguments, "argv_secret"):
        loaded = loaded.with_warning(
            IN_ARGV.format("the secret", "NETJUMPER_SECRET", "--secret-file")
        )
    check_options(loaded, server_options)
    loaded, sockets = server_sockets(loaded)
    targets: ListenTargets = sockets or loaded.settings.listeners
    prepared = prepare(loaded, targets)

    def prepare_anew() -> Prepared:
        anew = load(ServerSettings, flags, config)
        names = [it.name for it in SERVER_LISTENERS]
        given = {} if sockets else anew.settings.listeners
        return prepare(anew, {it: targets.get(it) or given.get(it, ()) for it in names})

    if hasattr(arguments, "check"):
        tell_valid(loaded)
    elif loaded.settings.workers == 1:
        process.run_loop(_serve(prepared, prepare_anew, targets))
    else:
        _supervise(prepared, prepare_anew, targets)
    return process.OK


COMMANDS = (
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
    completion_command("netjumper"),
)


def check_health(words: Sequence[str]) -> int:
    """Ask the jump server that was started with these words, tell in one line, and return 0.

    Raises:
        Unhealthy: it does not answer.
        SettingsError: settings are wrong.
    """
    arguments = build_parser().parse_args(words)
    return server_healthcheck.check(_flags(arguments), getattr(arguments, "config", None))


def _flags(arguments: argparse.Namespace) -> Source:
    layer = source_of_flags(arguments, ServerSettings)
    if hasattr(arguments, "argv_secret"):
        layer.give("secret", arguments.argv_secret, "SECRET")
    if hasattr(arguments, "port"):
        # Not repeated in the message: with the two swapped it is the secret.
        if not (arguments.port.isascii() and arguments.port.isdigit()):
            raise SettingsError("PORT: expected a number (see netjumper --help)")
        listen = [*layer.values.get("listen", ()), f":{arguments.port}"]
        layer.give("listen", listen, layer.origins.get("listen", "PORT"))
    return layer


async def _serve(prepared: Prepared, prepare_anew: Prepare, targets: ListenTargets) -> None:
    server = JumpServer(prepared, targets)
    reload = partial(server.reload, prepare_anew)
    await serve.serve(server.service, daemon_options(prepared.loaded), _start, reload)


class _Supervised:
    """What workers are made of: the settings as they were last taken anew."""

    def __init__(self, prepared: Prepared, prepare_anew: Prepare) -> None:
        self._prepared = prepared
        self._prepare_anew = prepare_anew

    def reload(self) -> bool:
        """Take the settings anew, before the workers do; return whether they are right."""
        prepared = try_reload(self._prepare_anew)
        if prepared is not None:
            self._prepared = prepared
        return prepared is not None

    def work(self, listeners: Listeners, link: socket.socket) -> None:
        """Be a worker."""
        process.run_loop(self._work(listeners, link))

    async def _work(self, listeners: Listeners, link: socket.socket) -> None:
        server = JumpServer(self._prepared, listeners)
        reload = partial(server.reload, self._prepare_anew)
        await serve.work(server.service, self._prepared.settings.grace_period, link, reload)


def _supervise(prepared: Prepared, prepare_anew: Prepare, targets: ListenTargets) -> None:
    settings = prepared.settings
    supervised = _Supervised(prepared, prepare_anew)
    serve.supervise(
        "netjumper",
        daemon_options(prepared.loaded),
        [(name, place) for name, places in targets.items() for place in places],
        server_options(settings).listening,
        partial(_start, route=f"{settings.workers} workers; limits are each one's own"),
        supervised.work,
        supervised.reload,
    )


def _start(listening: serve.Listening, route: str = "") -> StartSummary:
    return StartSummary(
        title=f"netjumper {__version__}",
        listening=listening,
        route=route,
        paste=server_lines(listening),
    )


if __name__ == "__main__":
    sys.exit(main())
