"""`netjumper-bridge exec`: runs a program whose connections go through a bridge of its own.

The exit code is the program's, as in a shell (POSIX 2.8.2): 128 plus the number of a signal that
ended it, 127 if there is no such program, 126 if it cannot be run.
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
from netjumper.cli.arguments import SETTINGS_HELP, Parser, add_config, add_settings, command_line_of
from netjumper.cli.child_process import ChildProcess
from netjumper.cli.proxy_variables import NO_PROXY, PROXY_VARIABLES, first_of, variables
from netjumper.daemon import process, sd_notify, socket_activation, startup
from netjumper.daemon.drain import drain
from netjumper.errors import AddressError, SettingsError
from netjumper.logs.handler import nonblocking_logging
from netjumper.settings.bridge import BridgeSettings, RunningBridge
from netjumper.settings.loaded import Loaded
from netjumper.settings.option import PREFIX, Group, variable
from netjumper.settings.server import ServerSettings

SECRET_VARIABLES = frozenset(variable(key) for key in BridgeSettings.unshown)
"""Variables of the bridge that can hold a secret; the program must not see them."""
KNOWN_VARIABLES = frozenset(
    variable(key) for key in (*BridgeSettings.model_fields, *ServerSettings.model_fields, "config")
)
"""The others with our prefix are misspelt, and can hold a secret too."""
SERVICE_MANAGER_VARIABLES = frozenset(
    (*socket_activation.LISTEN_VARIABLES, *sd_notify.NOTIFY_VARIABLES)
)
"""Variables that a service manager set for this process, not for the program."""
EPHEMERAL_LISTENER = "127.0.0.1:0"
"""Where the bridge of `exec` listens: on a port that the system chooses."""
HTTP, SOCKS = "http", "socks5h"

_EXAMPLES = """\
examples:
  netjumper-bridge exec --jump home.example.net:9527 --secret-file secret \\
        pip install h11
      start a bridge on a free port, run pip through it, stop the bridge
  netjumper-bridge exec --via http://127.0.0.1:8118 \\
        --via socks5h://127.0.0.1:1080 npm ci
      through a running bridge; --via HOST:PORT names a port with both protocols
  netjumper-bridge exec --embedded curl https://example.org/
      try it out

The first word that is no option begins the program; -- can stand before it. The program keeps its
standard streams; the bridge writes only warnings and errors to standard
error, unless --log-level says otherwise. The program gets http_proxy, https_proxy, all_proxy and
no_proxy, all in upper case too (HTTP_PROXY not if it runs as CGI), ws_proxy, wss_proxy and
NODE_USE_ENV_PROXY=1. The no_proxy of the environment is added to that for this machine. Other
proxy variables, and NETJUMPER_SECRET, NETJUMPER_AUTH and NETJUMPER_JUMP, which can hold a secret,
are removed. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are forwarded to it. The exit
status is the program's: 128 plus the signal's number if a signal ended it, 127 if there is no
such program, 126 if it cannot be run; 1 and 2 also if the bridge cannot start.
The settings socks, http, mixed and workers are ignored here.

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge exec`, for the words before the program."""
    parser = Parser(
        "netjumper-bridge exec",
        "Runs a program whose connections go through a bridge of its own.",
        _EXAMPLES + SETTINGS_HELP.format(table=BridgeSettings.table),
        "netjumper-bridge exec [options] COMMAND [ARGUMENT ...]",
    )
    group = parser.add_argument_group("the bridge")
    group.add_argument(
        "--via",
        action="append",
        metavar="[http://|socks5h://]HOST:PORT",
        help="use a running bridge instead of starting one; repeatable, once for each protocol",
    )
    group.add_argument(
        "--no-proxy",
        action="append",
        metavar="LIST",
        help="targets that the program connects to directly, separated by commas",
    )
    titles = {Group.LOGGING: "logging (the default of --log-level is warning here)"}
    add_settings(parser, BridgeSettings, titles)
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Run the program and return its exit code.

    Raises:
        SettingsError: the command line or a setting is wrong.
        ListenError: no port is free.
        CommandFailed: the program cannot be started.
    """
    parser = build_parser()
    options, command = _split(parser, words)
    arguments = parser.parse_args(options)
    if not command:
        raise SettingsError(
            "write the program to run after the options, as in: "
            "netjumper-bridge exec --embedded curl URL"
        )
    return _run(arguments, command)


def _split(parser: Parser, words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the options, and the program with its arguments: it is the first other word."""
    end = 0
    while end < len(words) and words[end].startswith("-") and words[end] != "--":
        end += 2 if parser.takes_value(words[end]) else 1
    return words[:end], words[end + 1 :] if words[end : end + 1] == ["--"] else words[end:]


def _run(arguments: argparse.Namespace, command: Sequence[str]) -> int:
    given = command_line_of(arguments, BridgeSettings)
    for kind in BRIDGE_LISTENERS:
        given.give(kind.key, [EPHEMERAL_LISTENER] if kind is MIXED else [], "exec")
    given.give("workers", 1, "exec")
    if hasattr(arguments, "via"):
        loaded = _with_quiet_log(load_bridge(given, RunningBridge))
        http, socks = _addresses_of(arguments.via)
        env = _environment(http, socks, users_of(loaded), _no_proxy(arguments))
        startup.begin(daemon_options(loaded))
        return process.run_loop(_without_bridge(command, env))
    loaded = _with_quiet_log(load_bridge(given))
    check_options(loaded, bridge_options)
    loaded, hosts = known_hosts(loaded)
    users = users_of(loaded)
    return process.run_loop(_with_bridge(loaded, hosts, users, command, _no_proxy(arguments)))


def _with_quiet_log(loaded: Loaded[BridgeSettings]) -> Loaded[BridgeSettings]:
    """Log only warnings unless a level is given, since the program uses the same terminal."""
    if "log_level" in loaded.origins:
        return loaded
    settings = loaded.settings.model_copy(update={"log_level": "warning"})
    return replace(loaded, settings=settings)


def _addresses_of(via: Sequence[str]) -> tuple[str, str]:
    """Return the addresses for HTTP and for SOCKS of the running bridge; empty without one.

    Raises:
        SettingsError: an address is not valid, or a protocol has two.
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
        except AddressError:  # not repeated: it may have a password
            raise SettingsError(
                "--via: expected HOST:PORT, http://HOST:PORT or socks5h://HOST:PORT; "
                "set a password with NETJUMPER_AUTH or --auth-file"
            ) from None
        for name in schemes:
            if name in found:
                raise SettingsError(f"--via: more than one address for {name}")
            found[name] = str(address)
    return found.get(HTTP, ""), found.get(SOCKS, "")


def _no_proxy(arguments: argparse.Namespace) -> str:
    """Return the targets that the program connects to directly: this machine, and the user's own.

    Raises:
        SettingsError: they are all targets.
    """
    own = {name: os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")}
    lists = [NO_PROXY, *own.values(), *getattr(arguments, "no_proxy", ())]
    names = dict.fromkeys(name.strip() for text in lists for name in text.split(","))
    if "*" in names:
        raise SettingsError(
            "no_proxy: * means that the program connects to every target directly; remove it"
        )
    return ",".join(filter(None, names))


def _environment(
    http: str, socks: str, users: Mapping[str, str] | None, no_proxy: str
) -> dict[str, str]:
    removed = PROXY_VARIABLES | SECRET_VARIABLES | SERVICE_MANAGER_VARIABLES
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in removed and (name in KNOWN_VARIABLES or not name.startswith(PREFIX))
    }
    proxies = variables(http, socks, first_of(users), no_proxy)
    if "REQUEST_METHOD" not in kept:  # to a CGI program, HTTP_PROXY is a header of its client
        proxies["HTTP_PROXY"] = proxies["http_proxy"]
    return kept | proxies


async def _with_bridge(
    loaded: Loaded[BridgeSettings],
    hosts: Sequence[KnownHost],
    users: Mapping[str, str] | None,
    command: Sequence[str],
    no_proxy: str,
) -> int:
    startup.begin(daemon_options(loaded))
    program = ChildProcess(asyncio.get_running_loop())
    async with bridge_of(loaded.settings, hosts, users) as (service, _):
        with nonblocking_logging():
            service.open()
            try:
                address = service.address_of(MIXED.name)
                env = _environment(address, address, users, no_proxy)
                return await program.run(command, env)
            finally:
                # The last bytes of the program may not have been forwarded yet.
                await drain(service, loaded.settings.grace_period, program.interrupted)


async def _without_bridge(command: Sequence[str], env: Mapping[str, str]) -> int:
    return await ChildProcess(asyncio.get_running_loop()).run(command, env)
