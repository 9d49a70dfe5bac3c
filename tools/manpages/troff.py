"""Markup of man pages (man(7)); only this module escapes text."""

import re
import textwrap
from collections.abc import Iterable, Sequence

PARAGRAPH = ".PP"
LEFT_ALIGNED = (".nh", ".ad l")
"""No hyphenation, which would break options, and no justification."""

_WIDTH = 78
_ESCAPED = {
    "\\": "\\e",
    "-": "\\-",  # a minus; troff prints a plain one as a hyphen, which shells do not accept
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
}
_LITERAL = re.compile(
    r"""(?<![\w/.-])
    (--?[a-z][a-z-]*|NETJUMPER_[A-Z]+(?:_[A-Z]+)*|netjumper-bridge|netjumper)
    (?![\w/-]|\.\w)""",
    re.VERBOSE,
)
"""Literal words: options, variables, netjumper's commands."""
_USAGE = re.compile(r"(?P<placeholder>[A-Z][A-Z]+)|(?P<literal>(?<![\[\w-])[a-z-]+)")
_SENTENCE = re.compile(r"(?<=[a-z)][.:]) +(?=[A-Z])")
"""The space between two sentences."""


def escaped(text: str) -> str:
    """Return `text` with all special characters escaped."""
    return "".join(_ESCAPED.get(character, character) for character in text)


def bold(text: str) -> str:
    """Escape `text` and return it in bold."""
    return f"\\fB{escaped(text)}\\fR"


def italic(text: str) -> str:
    """Escape `text` and return it in italics, which terminals underline."""
    return f"\\fI{escaped(text)}\\fR"


def marked(text: str) -> str:
    """Escape running text and return it with options, variables and commands in bold."""
    parts = _LITERAL.split(text)  # every second part is a match
    return "".join(bold(it) if number % 2 else escaped(it) for number, it in enumerate(parts))


def usage(text: str) -> str:
    """Return a usage line: literal words in bold, placeholders in italics."""

    def styled(match: re.Match[str]) -> str:
        return italic(match[0]) if match["placeholder"] else bold(match[0])

    return _USAGE.sub(styled, text)


def heading(text: str) -> list[str]:
    """Return the lines that begin a section."""
    return [f".SH {escaped(text.upper())}"]


def subheading(text: str) -> list[str]:
    """Return the lines that begin a subsection."""
    return [f".SS {escaped(text)}"]


def paragraph(text: str) -> list[str]:
    """Return the lines of a paragraph."""
    return [PARAGRAPH, *_lines(text)]


def item(tag: str, text: str) -> list[str]:
    """Return the lines of an item of a list; its tag is already markup."""
    return [".TP", tag, *_lines(text)]


def example(command: Sequence[str], description: str) -> list[str]:
    """Return the lines of an example command, unchanged, and of its description."""
    lines = [PARAGRAPH, ".EX", *(_guarded(escaped(line)) for line in command), ".EE"]
    return [*lines, ".RS 4", *_lines(description), ".RE"] if description else lines


def unfilled(lines: Iterable[str]) -> list[str]:
    """Return lines, already markup, that troff does not join."""
    return [".nf", *lines, ".fi"]


def _lines(text: str) -> list[str]:
    """Return running text as lines; troff expects each sentence on a new line."""
    lines: list[str] = []
    for sentence in _SENTENCE.split(text):
        lines += textwrap.wrap(
            marked(sentence), _WIDTH, break_long_words=False, break_on_hyphens=False
        )
    return [_guarded(line) for line in lines]


def _guarded(line: str) -> str:
    """Return a line that troff does not take for a request."""
    return f"\\&{line}" if line.startswith(".") else line
