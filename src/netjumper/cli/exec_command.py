"""`netjumper-bridge exec`: run a program whose connections go through a bridge of its own.

The exit code is the program's, as a shell tells it (POSIX 2.8.2): 128 and the number of a signal
that ended it, 127 where there is no such program, 126 where it cannot be run.
"""

import argparse
import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from netjumper.addressing.address import Address
from netjumper.addressing.listeners import BRIDGE_LISTENERS, MIXED
from netjumper.app.bridge import bridge_of, load_bridge, users_of
from netjumper.app.daemon_options import daemon_options
from netjumper.app.jump_hosts import KnownHost, known_hosts
from netjumper.app.socket_options import bridge_options, check_options
from netjumper.cli.arguments import PLACES, Parser, add_config, add_settings, command_line_of
from netjumper.cli.child_process import _Program
from netjumper.cli.proxy_variables import PROXY_VARIABLES, first_of, variables
from netjumper.daemon import process, sd_notify, serve, socket_activation
from netjumper.errors import AddressError, SettingsError
from netjumper.logs.handler import nonblocking_logging
from netjumper.settings.bridge import BridgeSettings, RunningBridge
from netjumper.settings.loader import Loaded
from netjumper.settings.option import Group

PRIVATE = frozenset({"NETJUMPER_SECRET", "NETJUMPER_AUTH"})
"""What the bridge needs to know, and the program does not."""
MEANT_FOR_US = frozenset((*socket_activation.VARIABLES, *sd_notify.VARIABLES))
"""What a service manager said to this process, not to the program."""
EPHEMERAL_LISTENER = "127.0.0.1:0"
"""Where the bridge of `exec` listens: on a port that the system chooses."""
HTTP, SOCKS = "http", "socks5h"

_EXAMPLES = """\
examples:
  netjumper-bridge exec --jump home.example.net:9527 --secret-file secret \\
        -- pip install h11
      start a bridge on a free port, run pip through it, stop the bridge
  netjumper-bridge exec --via http://127.0.0.1:8118 \\
        --via socks5h://127.0.0.1:1080 -- npm ci
      through a bridge that runs already; --via HOST:PORT is a port that speaks both
  netjumper-bridge exec --embedded -- curl https://example.org/
      try it out

The program's streams are its own; the bridge writes warnings and errors between its lines, no more
unless --log-level asks for it. The program gets http_proxy (in lower case only), https_proxy,
all_proxy and no_proxy, the last three in upper case too, ws_proxy, wss_proxy and
NODE_USE_ENV_PROXY=1; other proxy variables, NETJUMPER_SECRET and NETJUMPER_AUTH are taken away.
SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on. The exit status is the
program's: 128 and the signal's number when a signal ended it, 127 when there is no such program,
126 when it cannot be run; 1 and 2 also when the bridge cannot start.
The settings socks, http, mixed and workers are not used here.

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge exec`, of what stands before the `--`."""
    parser = Parser(
        "netjumper-bridge exec",
        "Runs a program whose connections go through a bridge that is there for it alone.",
        _EXAMPLES + PLACES.format(table=BridgeSettings.table),
        "netjumper-bridge exec [options] -- COMMAND [ARGUMENT ...]",
    )
    group = parser.add_argument_group("the bridge")
    group.add_argument(
        "--via",
        action="append",
        metavar="[http://|socks5h://]HOST:PORT",
        help="use a running bridge instead of starting one; repeatable, once for each protocol",
    )
    titles = {Group.LOGGING: "logging (the default of --log-level is warning here)"}
    add_settings(parser, BridgeSettings, titles)
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Run the program and return its exit code.

    Raises:
        SettingsError: the command line or a setting is wrong.
        ListenError: there is no free port.
        CommandFailed: the program cannot be started.
    """
    options, command = _split(words)
    arguments = build_parser().parse_args(options)
    if not command:
        raise SettingsError(
            "write the program to run behind --, as in: "
            "netjumper-bridge exec --embedded -- curl URL"
        )
    return _run(arguments, command)


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return what stands before the first `--`, and what behind it."""
    if "--" not in words:
        return words, ()
    end = list(words).index("--")
    return words[:end], words[end + 1 :]


def _run(arguments: argparse.Namespace, command: Sequence[str]) -> int:
    given = command_line_of(arguments, BridgeSettings)
    for kind in BRIDGE_LISTENERS:
        given.give(kind.key, [EPHEMERAL_LISTENER] if kind is MIXED else [], "exec")
    given.give("workers", 1, "exec")
    if hasattr(arguments, "via"):
        loaded = _quieter(load_bridge(given, RunningBridge))
        http, socks = _places(arguments.via)
        env = _environment(variables(http, socks, first_of(users_of(loaded))))
        serve.begin(daemon_options(loaded))
        return process.run_loop(_without_bridge(command, env))
    loaded = _quieter(load_bridge(given))
    check_options(loaded, bridge_options)
    return process.run_loop(_with_bridge(loaded, known_hosts(loaded), users_of(loaded), command))


def _quieter(loaded: Loaded[BridgeSettings]) -> Loaded[BridgeSettings]:
    """Return the same, with warnings only where no level was asked for: the terminal is shared."""
    if "log_level" in loaded.origins:
        return loaded
    settings = loaded.settings.model_copy(update={"log_level": "warning"})
    return replace(loaded, settings=settings)


def _places(via: Sequence[str]) -> tuple[str, str]:
    """Return where the running bridge speaks HTTP and SOCKS, empty where it does not.

    Raises:
        SettingsError: a place is no such thing, or there are two for a protocol.
    """
    found: dict[str, str] = {}
    for text in via:
        scheme, slashes, rest = text.rpartition("://")
        schemes = (scheme,) if slashes else (HTTP, SOCKS)
        if slashes and scheme not in (HTTP, SOCKS):
            raise SettingsError(
                "--via: expected HOST:PORT, http://HOST:PORT or socks5h://HOST:PORT"
            )
        try:
            address = Address.parse(rest.removesuffix("/"))
        except AddressError:  # not repeated: there may be a password in it
            raise SettingsError(
                "--via: expected HOST:PORT, with http:// or socks5h:// before it or nothing; "
                "a password is given by NETJUMPER_AUTH or --auth-file"
            ) from None
        for name in schemes:
            if name in found:
                raise SettingsError(f"--via: there are two places for {name}")
            found[name] = str(address)
    return found.get(HTTP, ""), found.get(SOCKS, "")


def _environment(proxies: Mapping[str, str]) -> dict[str, str]:
    taken = PROXY_VARIABLES | PRIVATE | MEANT_FOR_US
    return {name: value for name, value in os.environ.items() if name not in taken} | dict(proxies)


async def _with_bridge(
    loaded: Loaded[BridgeSettings],
    hosts: Sequence[KnownHost],
    users: Mapping[str, str] | None,
    command: Sequence[str],
) -> int:
    serve.begin(daemon_options(loaded))
    program = _Program(asyncio.get_running_loop())
    async with bridge_of(loaded.settings, hosts, users) as (service, _):
        with nonblocking_logging():
            service.open()
            try:
                address = service.address_of(MIXED.name)
                env = _environment(variables(address, address, first_of(users)))
                return await program.run(command, env)
            finally:
                # What the program has sent may still be on its way.
                await serve.drain(service, loaded.settings.grace_period, program.hurry)


async def _without_bridge(command: Sequence[str], env: Mapping[str, str]) -> int:
    return await _Program(asyncio.get_running_loop()).run(command, env)
