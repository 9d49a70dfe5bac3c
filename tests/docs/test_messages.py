"""The messages that docs/troubleshooting.md explains are those of the program."""

import ast
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import netjumper
from netjumper import errors

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
TREES = [ast.parse(path.read_text()) for path in Path(netjumper.__file__).parent.rglob("*.py")]
_PLURAL = re.compile(r"(?<=[a-z])%s")
_PLACEHOLDER = re.compile(r"%[sdg]|\{\w*\}")


def counted_nouns() -> set[str]:
    """Return the nouns whose plural `counted` makes, so that no literal has it."""
    return {
        node.args[1].value
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "counted"
        if isinstance(node.args[1], ast.Constant)
    }


def literals(node: ast.AST) -> Iterator[str]:
    """Yield the strings below a node, `...` for each placeholder, without docstrings."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.JoinedStr):
            parts = child.values
            yield "".join(str(it.value) if isinstance(it, ast.Constant) else "..." for it in parts)
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield _PLACEHOLDER.sub("...", _PLURAL.sub("s", child.value))
        yield from literals(child)


RESET = os.strerror(errno.ECONNRESET)
SYSTEM_ERRORS = {os.strerror(errno.EMFILE), RESET, RESET.lower()}
LITERALS = SYSTEM_ERRORS.union(*(literals(tree) for tree in TREES))
_DIFFERS = re.compile(rf"(?:\.\.\.|\d+)(?: (?:{'|'.join(counted_nouns())})s\b)?")


def messages() -> Iterator[str]:
    """Yield what is quoted in the first column, and the messages that other columns quote."""
    for row in re.findall(r"^\| (?!message)(.+) \|$", PAGE.read_text(), re.MULTILINE):
        first, _, rest = row.partition(" | ")
        yield from re.findall(r"`([^`]+)`", first)
        yield from re.findall(r"`(\.\.\. [^`]+|[A-Z]\w+: [^`]+)`", rest)


def clauses(message: str) -> list[str]:
    """Return the parts that the program may join to a message, without an error's class."""
    parts = re.split("[:;] ", message)
    return parts[1:] if hasattr(errors, parts[0]) else parts


def is_printed(clause: str) -> bool:
    """Return whether a literal has the clause's fixed words, in this order."""
    words = [re.escape(it.strip()) for it in _DIFFERS.split(clause)]
    return any(re.search(".*".join(words), literal) for literal in LITERALS)


@pytest.mark.parametrize("message", sorted(set(messages())))
def test_quoted_message_is_in_the_source(message: str) -> None:
    if not hasattr(errors, message):
        assert [it for it in clauses(message) if not is_printed(it)] == []


def test_the_page_quotes_many_messages() -> None:
    assert len(list(messages())) > 40


@pytest.mark.parametrize(
    "changed", ["shut out ... for 60 s", "cannot listens on ...", "limit of ... exceeded"]
)
def test_message_in_other_words_is_noticed(changed: str) -> None:
    assert not is_printed(changed)
