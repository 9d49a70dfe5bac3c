"""Formats the texts before and after the options of a help; examples keep their lines.

A text consists of blocks, separated by empty lines. A block is a list of examples (`examples:`,
then commands indented by two and explanations by six; a further list needs no heading), a section
(`heading:`, then lines indented by two), or a paragraph. Man pages are made of the same blocks.
"""

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_WIDTH = 100
"""Columns of a paragraph; longer lines are hard to read, even on a wide terminal."""
_COMMAND, _EXPLANATION = "  ", " " * 6


@dataclass(frozen=True, slots=True)
class Example:
    """A command as it is typed, in one or more lines, with an explanation, which may be empty."""

    command: tuple[str, ...]
    explanation: str


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a text; a paragraph has no heading, and only a list of examples has examples."""

    heading: str
    prose: str
    examples: tuple[Example, ...] = ()

    def filled(self, width: int) -> str:
        """Return the block as text, with no line of prose longer than `width` columns."""
        if not self.heading and not self.examples:
            return _filled(self.prose, width)
        lines = [f"{self.heading}:"] if self.heading else []
        for example in self.examples:
            lines += [_COMMAND + line for line in example.command]
            lines += (
                [_filled(example.explanation, width, _EXPLANATION)] if example.explanation else []
            )
        if self.prose:
            lines.append(_filled(self.prose, width, _COMMAND))
        return "\n".join(lines)


def blocks(text: str) -> list[Block]:
    """Return the blocks of a text."""
    return [_block(block.split("\n")) for block in text.strip("\n").split("\n\n")]


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Fills the texts before and after the options; the text of a group is a table and stays."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if indent:
            return super()._fill_text(text, width, indent)
        return "\n\n".join(block.filled(min(width, MAX_WIDTH)) for block in blocks(text))


def _block(lines: Sequence[str]) -> Block:
    first, *rest = lines
    if all(line.startswith(_COMMAND) for line in lines):  # continues the examples before it
        return Block("", "", tuple(_examples(lines)))
    if not first.endswith(":") or not all(line.startswith(_COMMAND) for line in rest):
        return Block("", _joined(lines))
    if first.startswith("example"):
        return Block(first[:-1], "", tuple(_examples(rest)))
    return Block(first[:-1], _joined(rest))


def _examples(lines: Sequence[str]) -> Iterator[Example]:
    command: list[str] = []
    explanation: list[str] = []
    for line in lines:
        continued = bool(command) and command[-1].endswith("\\")
        if line.startswith(_EXPLANATION) and not continued:
            explanation.append(line)
            continue
        if explanation or (command and not continued):
            yield Example(tuple(command), _joined(explanation))
            command, explanation = [], []
        command.append(line.removeprefix(_COMMAND))
    yield Example(tuple(command), _joined(explanation))


def _joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines)


def _filled(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,  # half a flag is none
    )
