"""`netjumper-bridge env`: the variables that send programs through a bridge.

Programs agree on little: `http_proxy` is read in lower case only, as a CGI program gets a request's
field `Proxy:` as `HTTP_PROXY` (CVE-2016-5385); the others are read in either case by some. Of
`NO_PROXY` every program understands names and addresses that are to be matched whole, and no more.
For WebSockets some read the variables of http and https, others (aiohttp) go by the URL's scheme.
"""

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence

from netjumper.addressing.listen_address import reachable_from_here
from netjumper.addressing.listeners import HTTP, MIXED, SOCKS, ListenerKind
from netjumper.app.bridge import users_of
from netjumper.cli.arguments import PLACES, Parser, add_config, add_settings, command_line_of
from netjumper.cli.output import say
from netjumper.cli.proxy_variables import first_of, variables
from netjumper.daemon import process
from netjumper.errors import NetjumperError
from netjumper.settings.bridge import BridgeSettings, RunningBridge
from netjumper.settings.loader import load

_EXAMPLES = """\
examples:
  eval "$(netjumper-bridge env)"
      send what this shell starts through the bridge at the usual ports
  netjumper-bridge env --shell fish | source
  netjumper-bridge env --shell powershell | Out-String | Invoke-Expression
  netjumper-bridge env --shell docker > proxy.env
      for docker run --network host --env-file proxy.env

A port that speaks one protocol only is named for both, as a program that cannot speak it then
fails and does not go around the tunnel. With --auth or --auth-file the password (of the file's
first user) is a part of what is printed: keep it from others.

"""


class NoAddress(NetjumperError):
    """No variable can name the bridge."""


def of_settings(settings: BridgeSettings, users: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables for a bridge that listens where its settings say.

    Args:
        settings: the bridge's.
        users: the passwords by user; the first is taken.

    Raises:
        NoAddress: all its addresses are unix sockets, or ports of the system's choice.
    """
    http = _first(settings, HTTP, MIXED)
    socks = _first(settings, SOCKS, MIXED)
    if not http and not socks:
        raise NoAddress(
            "no variable can name where the bridge listens (a unix socket, or port 0); "
            "give it --http, --socks or --mixed with HOST:PORT"
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
    return f"{name}={value}"  # an --env-file is taken as it stands, quotes included


SHELLS: dict[str, Callable[[str, str], str]] = {
    "sh": _for_sh,
    "fish": _for_fish,
    "powershell": _for_powershell,
    "docker": _for_docker,
}


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge env`."""
    parser = Parser(
        "netjumper-bridge env",
        "Prints the variables that send programs through the bridge that listens on this machine.",
        _EXAMPLES + PLACES.format(table=BridgeSettings.table),
    )
    parser.add_argument(
        "--shell",
        choices=tuple(SHELLS),
        help="who is to read it; docker is a file for --env-file (default: sh)",
    )
    add_settings(parser, BridgeSettings)
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Print the variables, a line for each, and return the exit code.

    Raises:
        SettingsError, NoAddress: there is nothing right to print.
    """
    arguments = build_parser().parse_args(words)
    quoted = SHELLS[getattr(arguments, "shell", "sh")]
    for name, value in _variables_of(arguments).items():
        say(quoted(name, value))
    return process.OK


def _variables_of(arguments: argparse.Namespace) -> dict[str, str]:
    loaded = load(RunningBridge, command_line_of(arguments, BridgeSettings))
    return of_settings(loaded.settings, users_of(loaded))
