"""Sub-commands: a table, from which the first word of the command line selects one.

Each has its own parser. If the first word selects none, the command itself reads the command line.
"""

import difflib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netjumper.cli.arguments import Parser, is_jump_host
from netjumper.errors import SettingsError
from netjumper.text import quoted

_PROGRAMS = {"netjumper": "netjumper.cli.server", "netjumper-bridge": "netjumper.cli.bridge"}
"""The modules that have the commands of each program; they import this one."""


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command.

    Attributes:
        name: the word that selects it.
        summary: what it does, in one line of `--help`.
        build_parser: returns its parser.
        run: runs it with the words after the name, and returns the exit code.
    """

    name: str
    summary: str
    build_parser: Callable[[], Parser]
    run: Callable[[Sequence[str]], int]


def lazy_command(name: str, summary: str, module: str, function: str = "run") -> Command:
    """Return a sub-command whose module is imported only when it is used.

    So no command waits for what the others need.

    Args:
        name: the word that selects it.
        summary: what it does, in one line of `--help`.
        module: where its `build_parser` and its `function` are.
        function: the name of what runs it.
    """

    def build_parser() -> Parser:
        parser: Parser = importlib.import_module(module).build_parser()
        return parser

    def run(words: Sequence[str]) -> int:
        code: int = getattr(importlib.import_module(module), function)(words)
        return code

    return Command(name, summary, build_parser, run)


def as_flags(argv: Sequence[str]) -> Sequence[str]:
    """Return a command line with the flags that `help`, `help COMMAND` and `version` mean.

    Args:
        argv: the command line without the command's name.
    """
    if argv[:1] == ["help"]:
        return [*argv[1:2], "--help"]
    return ["--version"] if argv[:1] == ["version"] else argv


def selected(commands: Sequence[Command], argv: Sequence[str]) -> Command | None:
    """Return the sub-command that the first word selects; None if it selects none.

    Args:
        commands: all sub-commands.
        argv: the command line without the command's name.
    """
    return next((it for it in commands if argv[:1] == [it.name]), None)


def refuse_misspelt(prog: str, commands: Sequence[Command], argv: Sequence[str]) -> None:
    """Check that the first word is neither a misspelt sub-command nor another program's.

    The message repeats only a word that is similar to one: any other may be a misplaced secret.

    Raises:
        SettingsError: it is; the message has the right name.
    """
    names = [command.name for command in commands]
    for program, module in _PROGRAMS.items():
        others = importlib.import_module(module).COMMANDS if argv and argv[0].isalpha() else ()
        if argv[:1] and argv[0] not in names and argv[0] in {it.name for it in others}:
            raise SettingsError(f"{argv[0]} is a command of {program}: {program} {argv[0]}")
    close = difflib.get_close_matches(argv[0], names, 1) if argv else []
    if close and argv[0] not in names:
        raise SettingsError(
            f"unknown command {quoted(argv[0])}; did you mean {close[0]}? (see {prog} --help)"
        )


def refuse_arguments(prog: str, commands: Sequence[Command], argv: Sequence[str]) -> None:
    """Check that a command without arguments gets none.

    Raises:
        SettingsError: the first word is neither an option nor a sub-command.
    """
    refuse_misspelt(prog, commands, argv)
    if argv and not argv[0].startswith("-"):
        names = ", ".join(command.name for command in commands)
        hint = "; write --jump before a jump host" if is_jump_host(argv[0]) else ""
        raise SettingsError(f"unknown command; expected one of {names}{hint} (see {prog} --help)")


def add_commands(parser: Parser, commands: Sequence[Command]) -> None:
    """List the sub-commands in the help of `parser`."""
    width = max(len(command.name) for command in commands) + 2
    lines = (f"{command.name:{width}}{command.summary}" for command in commands)
    more = f"{parser.prog} COMMAND --help describes one of them."
    parser.add_argument_group("commands", "\n".join([*lines, more]))
