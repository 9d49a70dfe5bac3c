"""The command `netjumper`: the jump server, and its sub-commands."""

import argparse
import socket
import sys
from collections.abc import Sequence
from functools import partial

from netjumper.addressing.listeners import SERVER_LISTENERS
from netjumper.app.certificates import certificate_pin
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
from netjumper.app.socket_options import check_options, describe_long_path, server_options
from netjumper.cli.arguments import (
    SETTINGS_HELP,
    Parser,
    add_config_check_version,
    add_settings,
    command_line_of,
)
from netjumper.cli.check import report_valid
from netjumper.cli.completion import completion_command
from netjumper.cli.subcommands import (
    add_commands,
    as_flags,
    lazy_command,
    refuse_misspelt,
    selected,
)
from netjumper.cli.usage_hints import server_lines
from netjumper.daemon import process, serve, startup
from netjumper.daemon.sighup import unblock_sighup
from netjumper.daemon.status import Listening
from netjumper.daemon.worker_sockets import Listeners
from netjumper.errors import SettingsError
from netjumper.logs.terminal import StartSummary
from netjumper.settings.loaded import Loaded
from netjumper.settings.loader import load
from netjumper.settings.messages import VISIBLE_IN_ARGV
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import CommandLine
from netjumper.version import __version__

_USAGE = "netjumper [options] [PORT [SECRET]]\n       netjumper COMMAND [options]"
_EXAMPLES = """\
examples:
  netjumper keygen --out secret
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
        "The jump server: connects clients that know the secret to any host that it can reach.",
        _EXAMPLES + SETTINGS_HELP.format(table=ServerSettings.table),
        _USAGE,
    )
    parser.add_argument(
        "port", nargs="?", metavar="PORT", help="listen on this port of all addresses"
    )
    parser.add_argument(
        "argv_secret",
        nargs="?",
        metavar="SECRET",
        help="the secret; every user of this machine can read it here, so prefer --secret-file",
    )
    add_commands(parser, COMMANDS)
    add_settings(parser, ServerSettings)
    add_config_check_version(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        argv: the command line without the command's name; None is the process's own.
    """
    words = as_flags(sys.argv[1:] if argv is None else list(argv))
    return process.run("netjumper", lambda: _command(words))


def _command(words: Sequence[str]) -> int:
    if command := selected(COMMANDS, words):
        unblock_sighup()
        return command.run(words[1:])
    refuse_misspelt("netjumper", COMMANDS, words)
    arguments = build_parser().parse_args(words)
    given = _given_by(arguments)
    loaded = load(ServerSettings, given)
    if hasattr(arguments, "argv_secret"):
        loaded = loaded.with_warning(
            VISIBLE_IN_ARGV.format("the secret", "NETJUMPER_SECRET", "--secret-file")
        )
    check_options(loaded, server_options)
    loaded, sockets = server_sockets(loaded)
    targets: ListenTargets = sockets or loaded.settings.listeners
    prepared = prepare(loaded, targets)

    def prepare_again() -> Prepared:
        now = load(ServerSettings, given)
        names = [it.name for it in SERVER_LISTENERS]
        listeners = {} if sockets else now.settings.listeners
        return prepare(now, {it: targets.get(it) or listeners.get(it, ()) for it in names})

    if hasattr(arguments, "check"):
        startup.begin(daemon_options(prepared.loaded))
        report_valid(prepared.loaded)
    elif loaded.settings.workers == 1:
        process.run_loop(_serve(prepared, prepare_again, targets))
    else:
        _supervise(prepared, prepare_again, targets)
    return process.OK


COMMANDS = (
    lazy_command("keygen", "print a new secret, or make a certificate", "netjumper.cli.keygen"),
    lazy_command(
        "share",
        "print what a bridge needs to be given for this jump server",
        "netjumper.cli.share",
    ),
    lazy_command(
        "healthcheck",
        "ask the jump server on this machine whether it answers",
        "netjumper.cli.server_healthcheck",
    ),
    completion_command("netjumper"),
)


def given_by(words: Sequence[str]) -> CommandLine:
    """Return what a command line gives, also with the port and the secret that need no flag.

    Args:
        words: the command line without the command's name.

    Raises:
        SettingsError: it is wrong.
    """
    return _given_by(build_parser().parse_args(words))


def _given_by(arguments: argparse.Namespace) -> CommandLine:
    given = command_line_of(arguments, ServerSettings)
    if hasattr(arguments, "argv_secret"):
        given.give("secret", arguments.argv_secret, "SECRET")
    if hasattr(arguments, "port"):
        # The message does not repeat it: if the two are swapped, it is the secret.
        if not (arguments.port.isascii() and arguments.port.isdigit()):
            raise SettingsError(
                "PORT: expected a number; write an address with --listen (see netjumper --help)"
            )
        listen = [*given.values.get("listen", ()), f":{arguments.port}"]
        given.give("listen", listen, given.origins.get("listen", "PORT"))
    return given


async def _serve(prepared: Prepared, prepare_again: Prepare, targets: ListenTargets) -> None:
    server = JumpServer(prepared, targets)
    reload = partial(server.reload, prepare_again)
    start = partial(_start, prepared.loaded)
    await serve.serve(server.service, daemon_options(prepared.loaded), start, reload)


class _Supervised:
    """What workers are started with: the settings as they were last reloaded."""

    def __init__(self, prepared: Prepared, prepare_again: Prepare) -> None:
        self._prepared = prepared
        self._prepare_again = prepare_again

    def reload(self) -> bool:
        """Reload the settings before the workers do; return whether they are valid."""
        prepared = try_reload(self._prepare_again)
        if prepared is not None:
            self._prepared = prepared
        return prepared is not None

    def work(self, listeners: Listeners, link: socket.socket) -> None:
        """Serve as a worker until the link says to stop."""
        process.run_loop(self._work(listeners, link))

    async def _work(self, listeners: Listeners, link: socket.socket) -> None:
        server = JumpServer(self._prepared, listeners)
        reload = partial(server.reload, self._prepare_again)
        await serve.work(server.service, self._prepared.settings.grace_period, link, reload)


def _supervise(prepared: Prepared, prepare_again: Prepare, targets: ListenTargets) -> None:
    settings = prepared.settings
    supervised = _Supervised(prepared, prepare_again)
    serve.supervise(
        "netjumper",
        daemon_options(prepared.loaded),
        [(name, target) for name, group in targets.items() for target in group],
        server_options(settings).listening,
        partial(
            _start, prepared.loaded, route=f"{settings.workers} workers; limits apply per process"
        ),
        supervised.work,
        supervised.reload,
    )


def _start(loaded: Loaded[ServerSettings], listening: Listening, route: str = "") -> StartSummary:
    certificate = loaded.settings.certificate_file
    pin = "" if certificate is None else certificate_pin(certificate, "certificate_file").hex()
    return StartSummary(
        title=f"netjumper {__version__}",
        listening=listening,
        route=route,
        paste=server_lines(listening, pin),
        long_path=describe_long_path(loaded.settings),
        file=loaded.file,
    )


if __name__ == "__main__":
    sys.exit(main())
