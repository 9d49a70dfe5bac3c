"""The command `netjumper-bridge`: a SOCKS and HTTP proxy that connects through a jump server."""

import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from netjumper.app.bridge import bridge_of, load_bridge, route_of, users_of
from netjumper.app.daemon_options import daemon_options
from netjumper.app.inherited_sockets import InheritedSockets, bridge_sockets
from netjumper.app.jump_hosts import KnownHost, known_hosts
from netjumper.app.socket_options import bridge_options, check_options, describe_long_path
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
    refuse_arguments,
    selected,
)
from netjumper.cli.usage_hints import bridge_lines
from netjumper.daemon import process, serve, startup
from netjumper.daemon.sighup import unblock_sighup
from netjumper.daemon.status import Listening
from netjumper.daemon.worker_sockets import Listeners
from netjumper.logs.terminal import StartSummary
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loaded import Loaded
from netjumper.version import __version__

COMMANDS = (
    lazy_command(
        "exec",
        "run a program whose connections go through a bridge of its own",
        "netjumper.cli.exec_command",
    ),
    lazy_command(
        "env",
        "print the proxy variables for a shell or for Docker",
        "netjumper.cli.env",
    ),
    lazy_command(
        "healthcheck",
        "ask the bridge on this machine whether it answers",
        "netjumper.cli.healthcheck",
    ),
    lazy_command(
        "doctor",
        "try each step to a target, and explain the first that fails",
        "netjumper.cli.doctor",
    ),
    completion_command("netjumper-bridge"),
)
_EXAMPLES = """\
examples:
  netjumper-bridge --jump home.example.net:9527 --secret-file secret
      SOCKS on 127.0.0.1:1080 and HTTP on 127.0.0.1:8118, through this jump server
  netjumper-bridge --jump home.example.net:9527 --secret-file secret \\
        --mixed 127.0.0.1:3128 --socks unix:/run/netjumper/socks
      both protocols on one port, and SOCKS on a unix socket
  netjumper-bridge --jump home.example.net:9527 --secret-file secret \\
        --http 192.0.2.7:8118 --auth-file users
      also for other machines, with a password
  netjumper-bridge --embedded
      try it out without a separate jump server

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge`."""
    parser = Parser(
        "netjumper-bridge",
        "The bridge: a SOCKS and HTTP proxy for programs on this machine. The jump server makes "
        "each connection that they request.",
        _EXAMPLES + SETTINGS_HELP.format(table=BridgeSettings.table),
        "netjumper-bridge (--jump HOST:PORT | --embedded) [options]\n"
        "       netjumper-bridge COMMAND [options]",
    )
    add_commands(parser, COMMANDS)
    add_settings(parser, BridgeSettings)
    add_config_check_version(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        argv: the command line without the command's name; None is the process's own.
    """
    words = as_flags(sys.argv[1:] if argv is None else list(argv))
    return process.run("netjumper-bridge", lambda: _command(words))


def _command(words: Sequence[str]) -> int:
    if command := selected(COMMANDS, words):
        unblock_sighup()
        return command.run(words[1:])
    refuse_arguments("netjumper-bridge", COMMANDS, words)
    arguments = build_parser().parse_args(words)
    loaded = load_bridge(command_line_of(arguments, BridgeSettings))
    loaded, hosts = known_hosts(loaded)
    users = users_of(loaded)
    check_options(loaded, bridge_options)
    loaded, sockets = bridge_sockets(loaded, password=users is not None)
    if hasattr(arguments, "check"):
        startup.begin(daemon_options(loaded))
        report_valid(loaded)
    elif loaded.settings.workers == 1:
        process.run_loop(_serve(loaded, hosts, users, sockets))
    else:
        _supervise(loaded, hosts, users, sockets)
    return process.OK


async def _serve(
    loaded: Loaded[BridgeSettings],
    hosts: Sequence[KnownHost],
    users: Mapping[str, str] | None,
    sockets: InheritedSockets,
) -> None:
    async with bridge_of(loaded.settings, hosts, users, sockets) as (service, route):
        await serve.serve(
            service,
            daemon_options(loaded),
            partial(_start, loaded, route=route, password=users is not None),
        )


def _supervise(
    loaded: Loaded[BridgeSettings],
    hosts: Sequence[KnownHost],
    users: Mapping[str, str] | None,
    sockets: InheritedSockets,
) -> None:
    settings = loaded.settings

    def work(listeners: Listeners, link: socket.socket) -> None:
        process.run_loop(_work(settings, hosts, users, listeners, link))

    route = (
        f"{route_of(settings)}; {settings.workers} workers, limits and "
        "parked connections apply per process"
    )
    serve.supervise(
        "netjumper-bridge",
        daemon_options(loaded),
        [(name, it) for name, group in (sockets or settings.listeners).items() for it in group],
        bridge_options(settings).listening,
        partial(_start, loaded, route=route, password=users is not None),
        work,
    )


async def _work(
    settings: BridgeSettings,
    hosts: Sequence[KnownHost],
    users: Mapping[str, str] | None,
    listeners: Listeners,
    link: socket.socket,
) -> None:
    async with bridge_of(settings, hosts, users, listeners) as (service, _):
        await serve.work(service, settings.grace_period, link)


def _start(
    loaded: Loaded[BridgeSettings], listening: Listening, route: str, *, password: bool
) -> StartSummary:
    settings = loaded.settings
    return StartSummary(
        title=f"netjumper-bridge {__version__}",
        listening=listening,
        route=route,
        paste=bridge_lines(listening, password=password),
        long_path="" if settings.embedded else describe_long_path(settings),
        file=loaded.file,
    )


if __name__ == "__main__":
    sys.exit(main())
