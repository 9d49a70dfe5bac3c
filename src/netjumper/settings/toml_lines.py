"""The lines of a TOML file that its keys stand on; tomllib does not give them.

The text must be valid TOML. It is cut into statements (a header, or a key with its value), and
tomllib reads each of them alone: so no rule about keys, strings or numbers is repeated here.
"""

import re
import tomllib
from collections.abc import Iterator

KeyPath = tuple[str, ...]
MAX_DEPTH = 2
"""A table and its keys: settings have nothing deeper."""

_TOKEN = re.compile(
    r'''
    """(?:\\.|[^\\])*?"""+      # several lines in double quotes; two more may stand before the end
    | \'\'\'.*?\'\'\'+          # several lines in single quotes
    | "(?:\\.|[^"\\])*" | '[^']*'
    | \#[^\n]*
    | [\[\]{}\n]
    | [^"'\#\[\]{}\n]+
    ''',
    re.DOTALL | re.VERBOSE,
)

_OPENING, _CLOSING = ("[", "{"), ("]", "}")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line of each table and of each key in a table, counted from 1.

    Args:
        text: a valid TOML document.

    Returns:
        Lines by path: `("bridge",)` is a table, `("bridge", "jump")` a key of it. A table has the
        line of its header, or of the first key that implies it.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, statement in _statements(text):
        paths = list(_paths(tomllib.loads(statement)))
        if statement.startswith("["):
            *_, table = paths
        else:
            paths = [(*table, *path) for path in paths]
        for path in paths:
            lines.setdefault(path, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement, without comments, with the number of its first line."""
    number, first, depth = 1, 1, 0
    pieces: list[str] = []
    for match in _TOKEN.finditer(f"{text}\n"):
        piece = match[0]
        if piece == "\n" and not depth:
            if pieces:
                yield first, "".join((*pieces, piece))  # a carriage return may stand before it
            pieces = []
        elif not piece.startswith("#") and (pieces or piece.strip()):
            first = first if pieces else number
            pieces.append(piece if pieces else piece.lstrip())
            depth += (piece in _OPENING) - (piece in _CLOSING)
        number += piece.count("\n")


def _paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the paths of tables and of their keys, and of nothing deeper."""
    if path:
        yield path
    if isinstance(value, dict) and len(path) < MAX_DEPTH:
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
