"""Shell completion of both commands: `python -m completions DIRECTORY` writes the scripts.

They are made from the parsers, with shtab, and kept in `src/netjumper/cli/completions`, where the
sub-command `completion` and the wheel take them from. `make generated` writes them again.
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
    """Return the scripts by the paths of their files, `SHELL/NAME`."""
    return {
        f"{shell}/{name.format(prog=module.build_parser().prog)}": _script(
            shell, module.build_parser(), module.COMMANDS
        )
        for module in (server, bridge)
        for shell, name in FILE_NAMES.items()
    }


def main(directory: str) -> int:
    """Write the scripts and return the exit code.

    Args:
        directory: where to; it gets a folder for each shell.

    Raises:
        OSError: they cannot be written.
    """
    for name, script in scripts().items():
        path = Path(directory) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script, encoding="utf-8")
    return 0


def _script(shell: str, parser: Parser, commands: Sequence[Command]) -> str:
    # A sub-command is the first word, and so are PORT and SECRET, which nothing can complete.
    parser._actions[:] = [it for it in parser._actions if it.option_strings]
    builders = {f"{parser.prog} {it.name}": it.build_parser for it in commands}
    of_prog: Any = lambda prog, **_: builders[prog]()  # noqa: E731 - argparse calls it as a class
    group = parser.add_subparsers(prog=parser.prog, parser_class=of_prog)
    for command in commands:
        added = group.add_parser(command.name, help=command.summary)
        added.description = command.summary  # what a shell shows beside it
        _complete_values(added)
    _complete_values(parser)
    return shtab.complete(parser, shell).rstrip() + "\n"


def _complete_values(parser: Parser) -> None:
    for action in parser._actions:
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif not action.option_strings and not action.choices:
            # Of what is neither option nor value zsh only speaks, and offers no option beside it.
            action.complete = {"zsh": "( )"}  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
