"""`python -m netjumper` where its first word names neither command: help, version, or an error."""

import sys
from collections.abc import Sequence

from netjumper.cli.arguments import Parser
from netjumper.cli.subcommands import add_commands, as_flags, lazy_command, refuse_arguments
from netjumper.daemon import process
from netjumper.errors import SettingsError
from netjumper.version import __version__

PROG = "python -m netjumper"
_EXAMPLES = """\
examples:
  python3 -m netjumper server --secret-file secret
      the same as netjumper --secret-file secret
  python3 -m netjumper bridge doctor --secret-file secret
      the same as netjumper-bridge doctor --secret-file secret
"""
COMMANDS = (
    lazy_command("server", "the jump server: netjumper", "netjumper.cli.server", "main"),
    lazy_command(
        "bridge", "the SOCKS and HTTP proxy: netjumper-bridge", "netjumper.cli.bridge", "main"
    ),
)


def main() -> int:
    """Print what is asked for, or what is wrong, and return the exit code."""
    return process.run(PROG, lambda: _refuse(as_flags(sys.argv[1:])))


def _refuse(words: Sequence[str]) -> int:
    refuse_arguments(PROG, COMMANDS, words)
    _build_parser().parse_args(words)
    names = " or ".join(command.name for command in COMMANDS)
    raise SettingsError(f"expected a command: {names} (see {PROG} --help)")


def _build_parser() -> Parser:
    parser = Parser(
        PROG,
        "Runs the jump server or the bridge where their own commands are not on the PATH.",
        _EXAMPLES,
        f"{PROG} server|bridge ...",
    )
    add_commands(parser, COMMANDS)
    parser.add_argument(
        "-V",
        "--version",
        action="version",
        version=f"netjumper {__version__}",
        help="print the version and exit",
    )
    return parser
