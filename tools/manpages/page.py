"""Make a man page of the parsers of a command and its sub-commands."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from manpages.troff import (
    LEFT_ALIGNED,
    PARAGRAPH,
    bold,
    escaped,
    example,
    heading,
    italic,
    item,
    paragraph,
    subheading,
    unfilled,
    usage,
)
from netjumper import __version__
from netjumper.cli.arguments import Parser
from netjumper.cli.help_formatter import Block, blocks
from netjumper.cli.subcommands import Command

Items = Sequence[tuple[str, str]]
"""Items of a list: their names and texts."""


@dataclass(frozen=True, slots=True)
class Page:
    """The man page of one command.

    Attributes:
        name: one-line description.
        parser: of the command.
        commands: its sub-commands.
        description: paragraphs after the description of the parser.
        variables: environment variables that it reads, except those of options.
        exported: environment variables that its sub-commands set for other programs.
        files: that it reads.
        signals: their effect.
        statuses: exit statuses.
        see_also: other pages and their sections.
    """

    name: str
    parser: Parser
    commands: Sequence[Command]
    description: Sequence[str]
    variables: Items
    exported: Items
    files: Items
    signals: str
    statuses: Items
    see_also: Sequence[tuple[str, int]]

    def text(self) -> str:
        """Return the page for man(1)."""
        lines: list[str] = []
        for line in self._lines():
            # A heading already ends with an empty line.
            if line != PARAGRAPH or not lines[-1].startswith((".SH", ".SS")):
                lines.append(line)
        return "\n".join([*lines, ""])

    def _lines(self) -> Iterator[str]:
        prog = self.parser.prog
        yield f'.TH {escaped(prog.upper())} 1 "" "netjumper {__version__}" "netjumper manual"'
        yield from LEFT_ALIGNED
        yield from [*heading("name"), f"{escaped(prog)} \\- {escaped(self.name)}"]
        yield from [*heading("synopsis"), *unfilled(usage(line) for line in self._usages())]
        yield from [*heading("description"), *self._described()]
        yield from [*heading("options"), *_options(self.parser)]
        yield from [*heading("commands"), *self._sub_commands()]
        yield from [*heading("settings"), *self._settings()]
        yield from [*heading("environment"), *_list(self.variables), *self._exports()]
        yield from [*heading("files"), *_list(self.files, italic)]
        yield from [*heading("signals"), *paragraph(self.signals)]
        yield from [*heading("exit status"), *_list(self.statuses)]
        yield from [*heading("examples"), *self._examples()]
        yield from [*heading("see also"), *self._others()]

    def _parsers(self) -> Iterator[Parser]:
        yield self.parser
        for command in self.commands:
            yield command.build_parser()

    def _usages(self) -> Iterator[str]:
        for parser in self._parsers():
            for line in parser.format_usage().removeprefix("usage: ").strip().split("\n"):
                if not line.strip().startswith(f"{parser.prog} COMMAND"):
                    yield line.strip()

    def _described(self) -> Iterator[str]:
        for text in (str(self.parser.description), *self.description):
            yield from paragraph(" ".join(text.split()))

    def _sub_commands(self) -> Iterator[str]:
        known = {_signature(action) for action in self.parser._actions}
        for command in self.commands:
            parser = command.build_parser()
            yield from subheading(command.name)
            yield from paragraph(str(parser.description))
            for block in _prose(parser):
                yield from paragraph(block.prose)
            yield from _own_options(parser, known)

    def _settings(self) -> Iterator[str]:
        for block in blocks(str(self.parser.epilog)):
            if block.heading and not block.examples:
                yield from paragraph(block.prose)

    def _exports(self) -> Iterator[str]:
        if self.exported:
            yield from subheading("Set for other programs, by exec and env")
            yield from _list(self.exported)

    def _examples(self) -> Iterator[str]:
        shown = set()
        for parser in self._parsers():
            for block in blocks(str(parser.epilog)):
                for it in block.examples:
                    if it.command not in shown:
                        yield from example(it.command, it.explanation)
                    shown.add(it.command)

    def _others(self) -> Iterator[str]:
        *others, last = [f".BR {escaped(name)} ({section})" for name, section in self.see_also]
        yield from (f"{other} ," for other in others)
        yield last


def _prose(parser: Parser) -> list[Block]:
    return [block for block in blocks(str(parser.epilog)) if not block.heading and block.prose]


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options by the groups of `--help`."""
    for group in parser._action_groups:
        if group._group_actions:
            if group.title not in ("arguments", "options"):
                yield from subheading(_capital(str(group.title)))
            for action in group._group_actions:
                yield from _option(parser, action)


def _own_options(parser: Parser, known: set[tuple[str, ...]]) -> Iterator[str]:
    """Yield the options that only a sub-command takes, and the names of shared ones."""
    shared = []
    for action in parser._actions:
        if _signature(action) not in known:
            yield from _option(parser, action)
        elif action.dest != "help":
            shared.append(action.option_strings[0])
    if shared:
        yield from paragraph(f"It also takes, as under OPTIONS: {', '.join(shared)}.")


def _signature(action: argparse.Action) -> tuple[str, ...]:
    """Return the properties by which options of two commands count as the same."""
    return (action.dest, str(action.help), *action.option_strings)


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    value = italic(_value(action))
    if action.nargs == 0:
        tag = ", ".join(map(bold, action.option_strings))
    else:
        tag = ", ".join(f"{bold(it)} {value}" for it in action.option_strings) or value
    text = str(action.help).replace("%(prog)s", parser.prog)
    return item(tag, f"{_capital(text)}.")


def _value(action: argparse.Action) -> str:
    """Return the placeholder of an option's value in its help."""
    return str(action.metavar or "|".join(action.choices or ()))


def _list(items: Items, style: Callable[[str], str] = bold) -> Iterator[str]:
    for name, text in items:
        yield from item(style(name), text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
