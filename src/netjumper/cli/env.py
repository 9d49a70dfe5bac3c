"""`netjumper-bridge env`: prints the variables that send programs through a bridge.

Programs agree on little. `http_proxy` is set in lower case only, since a CGI program gets a
request's field `Proxy:` as `HTTP_PROXY` (CVE-2016-5385); of the others, some programs read one case
and some the other. In `NO_PROXY`, all programs understand whole names and addresses, and no more.
For WebSockets some read the variables of http and https, others (aiohttp) use the URL's scheme.
"""

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence

from netjumper.addressing.listen_address import reachable_from_here
from netjumper.addressing.listeners import HTTP, MIXED, SOCKS, ListenerKind
from netjumper.app.bridge import users_of
from netjumper.cli.arguments import SETTINGS_HELP, Parser, add_config, add_settings, command_line_of
from netjumper.cli.output import print_line
from netjumper.cli.proxy_variables import first_of, variables
from netjumper.daemon import process
from netjumper.errors import NetjumperError
from netjumper.settings.bridge import BridgeSettings, RunningBridge
from netjumper.settings.loader import load

_EXAMPLES = """\
examples:
  eval "$(netjumper-bridge env)"
      send programs that this shell starts through the bridge on the default ports
  netjumper-bridge env --shell fish | source
  netjumper-bridge env --shell powershell | Out-String | Invoke-Expression
  netjumper-bridge env --shell docker > proxy.env
      for docker run --network host --env-file proxy.env

If the bridge has a listener for only one protocol, the variables of both name it: a program that
cannot speak that protocol then fails, and does not bypass the tunnel. With --auth or --auth-file
the output has the password (of the first user in the file): protect it.

"""


class NoAddress(NetjumperError):
    """The bridge has no address that a variable can name."""


def of_settings(settings: BridgeSettings, users: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables for a bridge that listens where its settings say.

    Args:
        settings: the bridge's.
        users: the passwords by user; the first is used.

    Raises:
        NoAddress: all its addresses are unix sockets, or have a port that the system chooses.
    """
    http = _first(settings, HTTP, MIXED)
    socks = _first(settings, SOCKS, MIXED)
    if not http and not socks:
        raise NoAddress(
            "no variable can name an address of the bridge (a unix socket, or port 0); "
            "set --http, --socks or --mixed to HOST:PORT"
        )
    return variables(http, socks, first_of(users))


def _first(settings: BridgeSettings, *kinds: ListenerKind) -> str:
    for kind in kinds:
        for address in settings.listeners[kind.name]:
            if address.port:
                return reachable_from_here(str(address))
    return ""


def _for_sh(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _for_fish(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{escaped}'"


def _for_powershell(name: str, value: str) -> str:
    escaped = value.replace("'", "''")
    return f"$Env:{name} = '{escaped}'"


def _for_docker(name: str, value: str) -> str:
    return f"{name}={value}"  # Docker takes values of an --env-file literally, quotes included


SHELLS: dict[str, Callable[[str, str], str]] = {
    "sh": _for_sh,
    "bash": _for_sh,
    "zsh": _for_sh,
    "fish": _for_fish,
    "powershell": _for_powershell,
    "docker": _for_docker,
}


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge env`."""
    parser = Parser(
        "netjumper-bridge env",
        "Prints the variables that send programs through the bridge on this machine.",
        _EXAMPLES + SETTINGS_HELP.format(table=BridgeSettings.table),
    )
    parser.add_argument(
        "--shell",
        choices=tuple(SHELLS),
        help="syntax of the output; docker is a file for --env-file (default: sh)",
    )
    add_settings(parser, BridgeSettings)
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Print the variables, a line for each, and return the exit code.

    Raises:
        SettingsError, NoAddress: the variables cannot be known.
    """
    arguments = build_parser().parse_args(words)
    quoted = SHELLS[getattr(arguments, "shell", "sh")]
    for name, value in _variables_of(arguments).items():
        print_line(quoted(name, value))
    return process.OK


def _variables_of(arguments: argparse.Namespace) -> dict[str, str]:
    loaded = load(RunningBridge, command_line_of(arguments, BridgeSettings))
    return of_settings(loaded.settings, users_of(loaded))
