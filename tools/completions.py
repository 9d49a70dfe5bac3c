"""`python -m completions DIRECTORY`: write the shell completions of both commands.

shtab makes them of the parsers. The sub-command `completion` and the wheel read them from
`src/netjumper/cli/completions`; `make generated` updates them there.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import shtab

from netjumper.cli import bridge, server
from netjumper.cli.arguments import Parser
from netjumper.cli.completion import FILE_NAMES
from netjumper.cli.subcommands import Command


def scripts() -> dict[str, str]:
    """Return the scripts by their relative paths, `SHELL/NAME`."""
    return {
        f"{shell}/{name.format(prog=module.build_parser().prog)}": _script(
            shell, module.build_parser(), module.COMMANDS
        )
        for module in (server, bridge)
        for shell, name in FILE_NAMES.items()
    }


def main(directory: str) -> int:
    """Write the scripts and return the exit status.

    Args:
        directory: for a folder per shell.

    Raises:
        OSError: a script cannot be written.
    """
    for name, script in scripts().items():
        path = Path(directory) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script, encoding="utf-8")
    return 0


def _script(shell: str, parser: Parser, commands: Sequence[Command]) -> str:
    # Only sub-commands complete the first word; PORT and SECRET cannot be completed.
    parser._actions[:] = [it for it in parser._actions if it.option_strings]
    builders = {f"{parser.prog} {it.name}": it.build_parser for it in commands}
    of_prog: Any = lambda prog, **_: builders[prog]()  # noqa: E731 - argparse calls it as a class
    group = parser.add_subparsers(prog=parser.prog, parser_class=of_prog)
    for command in commands:
        added = group.add_parser(command.name, help=command.summary)
        added.description = command.summary  # shells show it beside the name
        _complete_values(added)
    _complete_values(parser)
    return shtab.complete(parser, shell).rstrip() + "\n"


def _complete_values(parser: Parser) -> None:
    for action in parser._actions:
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif not action.option_strings and not action.choices:
            # Else zsh shows only a message for positional arguments, and offers no options.
            action.complete = {"zsh": "( )"}  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
