"""The markup of man pages (man(7)): text is escaped here, and nowhere else."""

import re
import textwrap
from collections.abc import Iterable, Sequence

PARAGRAPH = ".PP"
LEFT_ALIGNED = (".nh", ".ad l")
"""No word is cut, as an option that is cut is none, and no gaps fill up the lines."""

_WIDTH = 78
_ESCAPED = {
    "\\": "\\e",
    "-": "\\-",  # as typed: a plain one is a hyphen, which cannot be pasted into a shell
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
"""What is typed literally: options, variables, netjumper's commands."""
_USAGE = re.compile(r"(?P<placeholder>[A-Z][A-Z]+)|(?P<literal>(?<![\[\w-])[a-z-]+)")
_SENTENCE = re.compile(r"(?<=[a-z)][.:]) +(?=[A-Z])")
"""Where one ends and the next begins."""


def escaped(text: str) -> str:
    """Return `text` so that it comes out as it is."""
    return "".join(_ESCAPED.get(character, character) for character in text)


def bold(text: str) -> str:
    """Return `text`, which is not escaped yet, in bold."""
    return f"\\fB{escaped(text)}\\fR"


def italic(text: str) -> str:
    """Return `text`, which is not escaped yet, in italics, as a terminal underlines it."""
    return f"\\fI{escaped(text)}\\fR"


def marked(text: str) -> str:
    """Return running text escaped, with options, variables and our commands in bold."""
    parts = _LITERAL.split(text)  # every second one is a match
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
    """Return the lines that begin a part of a section."""
    return [f".SS {escaped(text)}"]


def paragraph(text: str) -> list[str]:
    """Return the lines of a paragraph."""
    return [PARAGRAPH, *_lines(text)]


def item(tag: str, text: str) -> list[str]:
    """Return the lines of an item of a list; its tag is markup already."""
    return [".TP", tag, *_lines(text)]


def typed(command: Sequence[str], description: str) -> list[str]:
    """Return the lines of an example, kept as they are, and of what it does."""
    lines = [PARAGRAPH, ".EX", *(_guarded(escaped(line)) for line in command), ".EE"]
    return [*lines, ".RS 4", *_lines(description), ".RE"] if description else lines


def unfilled(lines: Iterable[str]) -> list[str]:
    """Return lines that are markup already and are to stay lines."""
    return [".nf", *lines, ".fi"]


def _lines(text: str) -> list[str]:
    """Return running text in lines: a sentence begins a line, as troff wants it."""
    lines: list[str] = []
    for sentence in _SENTENCE.split(text):
        lines += textwrap.wrap(
            marked(sentence), _WIDTH, break_long_words=False, break_on_hyphens=False
        )
    return [_guarded(line) for line in lines]


def _guarded(line: str) -> str:
    """Return a line that is no request, whatever it begins with."""
    return f"\\&{line}" if line.startswith(".") else line
