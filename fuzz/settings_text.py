"""Settings as text: command line and environment.

The first byte selects the command (0: the jump server, otherwise the bridge). A line `KEY=VALUE` is
a variable, any other line an argument of the command.
"""

import re
from contextlib import redirect_stdout, suppress
from functools import cache
from io import StringIO

from fuzz.properties import as_text
from fuzz.settings import assert_settings, environment
from netjumper.cli import bridge, server
from netjumper.cli.arguments import Parser, command_line_of
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loaded import AnyLoaded
from netjumper.settings.loader import load
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import CommandLine

NO_FILE = "/dev/null"

_VARIABLE = re.compile(r"[A-Z_]+=", re.ASCII)


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    text = as_text(data[1:].replace(b"\0", b""))
    lines = text.split("\n")
    variables = [line for line in lines if _VARIABLE.match(line)]
    words = [line for line in lines if line not in variables]
    with (
        environment(dict(_pair(line) for line in variables)),
        redirect_stdout(StringIO()),
        suppress(SystemExit),  # --help, --version
    ):
        assert_settings(
            lambda: _load(words, for_bridge=data[:1] > b"\0"),
            "\n".join(variables),
            "\n".join(words),
        )


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name, value


def _load(words: list[str], *, for_bridge: bool) -> AnyLoaded:
    if for_bridge:
        arguments = _bridge_parser().parse_args(words)
        return load(BridgeSettings, _without_file(command_line_of(arguments, BridgeSettings)))
    arguments = _server_parser().parse_args(words)
    return load(ServerSettings, _without_file(server._given_by(arguments)))


def _without_file(command_line: CommandLine) -> CommandLine:
    command_line.config = NO_FILE
    return command_line


@cache
def _bridge_parser() -> Parser:
    return bridge.build_parser()


@cache
def _server_parser() -> Parser:
    return server.build_parser()
