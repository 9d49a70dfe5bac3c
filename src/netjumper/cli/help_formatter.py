"""The texts around the options in a help: paragraphs are filled, examples stay as they are typed.

A text is blocks with an empty line between. A block is examples (`examples:`, then commands
indented by two and what each does by six; more of them need no heading), a section (`a heading:`,
then lines indented by two), or a paragraph. The same blocks become a man page.
"""

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDEST = 100
"""Columns of a paragraph; longer lines are hard to read, however wide the terminal is."""
_COMMAND, _TOLD = "  ", " " * 6


@dataclass(frozen=True, slots=True)
class Example:
    """A command as it is typed, in a line or more, and what it does, empty where that is clear."""

    command: tuple[str, ...]
    told: str


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a text; a paragraph has no heading, and only examples have examples."""

    heading: str
    prose: str
    examples: tuple[Example, ...] = ()

    def filled(self, width: int) -> str:
        """Return it for people, with no line of its prose longer than `width`."""
        if not self.heading and not self.examples:
            return _filled(self.prose, width)
        lines = [f"{self.heading}:"] if self.heading else []
        for example in self.examples:
            lines += [_COMMAND + line for line in example.command]
            lines += [_filled(example.told, width, _TOLD)] if example.told else []
        if self.prose:
            lines.append(_filled(self.prose, width, _COMMAND))
        return "\n".join(lines)


def blocks(text: str) -> list[Block]:
    """Return the blocks of a text."""
    return [_block(block.split("\n")) for block in text.strip("\n").split("\n\n")]


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Fills what stands before and behind the options; what stands in a group is a table."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if indent:
            return super()._fill_text(text, width, indent)
        return "\n\n".join(block.filled(min(width, WIDEST)) for block in blocks(text))


def _block(lines: Sequence[str]) -> Block:
    first, *rest = lines
    if all(line.startswith(_COMMAND) for line in lines):  # more of the examples before it
        return Block("", "", tuple(_examples(lines)))
    if not first.endswith(":") or not all(line.startswith(_COMMAND) for line in rest):
        return Block("", _joined(lines))
    if first.startswith("example"):
        return Block(first[:-1], "", tuple(_examples(rest)))
    return Block(first[:-1], _joined(rest))


def _examples(lines: Sequence[str]) -> Iterator[Example]:
    command: list[str] = []
    told: list[str] = []
    for line in lines:
        continued = bool(command) and command[-1].endswith("\\")
        if line.startswith(_TOLD) and not continued:
            told.append(line)
            continue
        if told or (command and not continued):
            yield Example(tuple(command), _joined(told))
            command, told = [], []
        command.append(line.removeprefix(_COMMAND))
    yield Example(tuple(command), _joined(told))


def _joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines)


def _filled(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,  # a flag that is cut is none
    )
