"""Sub-commands: a table, the first word of the command line picks from it.

Each has a parser of its own. Where the first word is none of them, the command itself reads the
command line as it always did.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netjumper.cli.arguments import Parser
from netjumper.errors import SettingsError
from netjumper.text import quoted


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command.

    Attributes:
        name: the word that picks it.
        summary: what it does, in one line of `--help`.
        build_parser: makes its parser.
        run: does it, given the words behind the name; returns the exit code.
    """

    name: str
    summary: str
    build_parser: Callable[[], Parser]
    run: Callable[[Sequence[str]], int]


def picked(commands: Sequence[Command], argv: Sequence[str]) -> Command | None:
    """Return the sub-command that the first word names, None where there is no such word.

    Args:
        commands: those there are.
        argv: the command line without the command's name.
    """
    return next((it for it in commands if argv[:1] == [it.name]), None)


def refuse_misspelt(prog: str, commands: Sequence[Command], argv: Sequence[str]) -> None:
    """Check that the first word is not nearly a sub-command.

    Only what is near one is repeated: any other word may be a secret in the wrong place.

    Raises:
        SettingsError: it is; the message has the right name.
    """
    names = [command.name for command in commands]
    close = difflib.get_close_matches(argv[0], names, 1) if argv else []
    if close and argv[0] not in names:
        raise SettingsError(
            f"unknown command {quoted(argv[0])}; did you mean {close[0]}? (see {prog} --help)"
        )


def refuse_word(prog: str, commands: Sequence[Command], argv: Sequence[str]) -> None:
    """Check that the command line of a command without arguments begins with an option.

    Raises:
        SettingsError: it begins with a word that is no sub-command.
    """
    refuse_misspelt(prog, commands, argv)
    if argv and not argv[0].startswith("-"):
        names = ", ".join(command.name for command in commands)
        raise SettingsError(f"unknown command; there are {names} (see {prog} --help)")


def add_commands(parser: Parser, commands: Sequence[Command]) -> None:
    """List the sub-commands in the help of `parser`."""
    width = max(len(command.name) for command in commands) + 2
    lines = (f"{command.name:{width}}{command.summary}" for command in commands)
    more = f"{parser.prog} COMMAND --help tells more."
    parser.add_argument_group("commands", "\n".join([*lines, more]))
