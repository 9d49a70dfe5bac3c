"""What several targets hold true."""

import re
from collections.abc import Callable
from typing import TypeVar

from netjumper.errors import NetjumperError

LONGEST_LINE = 1000
"""Characters in what is told of a failure: it may repeat some of what came, and not much."""

MARK = "hunter2"
"""What the secrets in seeds have in them."""

T = TypeVar("T")

_FAULT = re.compile(r"(not (?:a )?valid HTTP(?: request)?: ).*", re.DOTALL)
_FAULT_IN_ANSWER = re.compile(
    rb"Content-Length: [0-9]+\r\n([^\n]*\n[^\n]*\n\r\nThe request is not valid: )[^\n]*"
)


def outcome_of(call: Callable[[], T], expected: type[NetjumperError]) -> T | NetjumperError:
    """Return what a call comes to: a value, or the error that it says it raises."""
    try:
        return call()
    except expected as error:
        error.__context__ = None  # pydantic's holds frames that hold this one, out of gc's sight
        return error


def hold_one_line(text: str) -> None:
    """What is told fits into one line of a log or a terminal."""
    assert text, "nothing is told"
    assert text.isprintable(), f"not printable: {text!r}"
    assert len(text) <= LONGEST_LINE, f"{len(text)} characters in {text[:100]!r}..."


def hold_hidden(elsewhere: str, *told: str) -> None:
    """What is told has no secret in it; the word is one unless the input has it `elsewhere` too."""
    for text in told:
        assert MARK in elsewhere or MARK not in text, f"the secret is in {text!r}"


def without_fault(text: str) -> str:
    """Return what is told of invalid HTTP without which fault it is.

    Where there are several, the one is told that is found first in as much as has come.
    """
    assert MARK not in text or not _FAULT.search(text), f"the secret is in {text!r}"
    return _FAULT.sub(r"\1", text)


def answers_without_fault(sent: bytes) -> bytes:
    """Return answers of ours without which fault a request has."""
    return _FAULT_IN_ANSWER.sub(rb"\1", sent)


def as_text(data: str | bytes) -> str:
    """Return bytes as the environment gives them."""
    return data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
