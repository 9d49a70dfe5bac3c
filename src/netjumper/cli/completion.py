"""The sub-command `completion`: what has a shell complete our commands, made from the parsers."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from netjumper.cli.arguments import Parser
from netjumper.cli.output import say
from netjumper.cli.subcommands import Command
from netjumper.daemon import process
from netjumper.errors import NetjumperError

NAME = "completion"
SHELLS = ("bash", "zsh", "fish")
_EXAMPLES = """\
examples:
  {prog} completion bash \\
        > ~/.local/share/bash-completion/completions/{prog}
      for every shell from now on, where bash-completion is installed
  {prog} completion zsh > ~/.zfunc/_{prog}
      with fpath+=~/.zfunc before compinit in ~/.zshrc
  {prog} completion fish \\
        > ~/.config/fish/completions/{prog}.fish

The directory that it is written to must be there. It needs the package shtab: pip install
'netjumper[completion]'.
"""


class NoShtab(NetjumperError):
    """The package that writes completions is not installed."""


def with_completion(
    prog: str, build_parser: Callable[[], Parser], commands: Sequence[Command]
) -> tuple[Command, ...]:
    """Return a command's sub-commands, and `completion` for all of them.

    Args:
        prog: the command's name.
        build_parser: makes its parser.
        commands: the others.
    """

    def parser() -> Parser:
        made = Parser(
            f"{prog} {NAME}",
            f"Prints what has a shell complete the commands and options of {prog}.",
            _EXAMPLES.format(prog=prog),
            f"{prog} {NAME} SHELL",
        )
        made.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
        return made

    def run(words: Sequence[str]) -> int:
        shell = parser().parse_args(words).shell
        say(script(shell, build_parser(), every).rstrip("\n"))
        return process.OK

    own = Command(NAME, f"print completions for {', '.join(SHELLS)}", parser, run)
    every = (*commands, own)
    return every


def script(shell: str, parser: Parser, commands: Sequence[Command]) -> str:
    """Return what `shell` is to read.

    Args:
        shell: one of `SHELLS`.
        parser: a new one of the command's; it is changed.
        commands: its sub-commands.

    Raises:
        NoShtab: the package is not installed.
    """
    try:
        shtab = importlib.import_module("shtab")
    except ImportError:
        raise NoShtab(
            "this needs the package shtab; type: pip install 'netjumper[completion]'"
        ) from None
    # A sub-command is the first word, and so are PORT and SECRET, which nothing can complete.
    parser._actions[:] = [it for it in parser._actions if it.option_strings]
    builders = {f"{parser.prog} {it.name}": it.build_parser for it in commands}
    of_prog: Any = lambda prog, **_: builders[prog]()  # noqa: E731 - argparse calls it as a class
    group = parser.add_subparsers(prog=parser.prog, parser_class=of_prog)
    for command in commands:
        added = group.add_parser(command.name, help=command.summary)
        added.description = command.summary  # what a shell shows beside it
        _complete_values(added, shtab.FILE)
    _complete_values(parser, shtab.FILE)
    text: str = shtab.complete(parser, shell)
    return text


def _complete_values(parser: Parser, file: object) -> None:
    for action in parser._actions:
        if action.metavar == "FILE":
            action.complete = file  # type: ignore[attr-defined]
        elif not action.option_strings and not action.choices:
            # Of what is neither option nor value zsh only speaks, and offers no option beside it.
            action.complete = {"zsh": "( )"}  # type: ignore[attr-defined]
