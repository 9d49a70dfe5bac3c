"""What several targets hold true."""

import re
from collections.abc import Callable
from typing import TypeVar

from netjumper.errors import NetjumperError

LONGEST_LINE = 1000
"""Characters of an error: it may repeat some of the input, but not much."""

MARK = "hunter2"
"""What the secrets in seeds have in them."""

T = TypeVar("T")

_FAULT = re.compile(r"(not (?:a )?valid HTTP(?: request)?: ).*", re.DOTALL)
_FAULT_IN_ANSWER = re.compile(
    rb"Content-Length: [0-9]+\r\n([^\n]*\n[^\n]*\n\r\nThe request is not valid: )[^\n]*"
)


def outcome_of(call: Callable[[], T], expected: type[NetjumperError]) -> T | NetjumperError:
    """Return the result of a call: a value, or one of the errors that it documents."""
    try:
        return call()
    except expected as error:
        error.__context__ = None  # pydantic's holds frames that hold this one, out of gc's sight
        return error


def hold_one_line(text: str) -> None:
    """An error fits into one line of a log or a terminal."""
    assert text, "an empty error"
    assert text.isprintable(), f"not printable: {text!r}"
    assert len(text) <= LONGEST_LINE, f"{len(text)} characters in {text[:100]!r}..."


def hold_hidden(elsewhere: str, *texts: str) -> None:
    """A text has no secret in it; the word is one unless the input has it `elsewhere` as well."""
    for text in texts:
        assert MARK in elsewhere or MARK not in text, f"the secret is in {text!r}"


def without_fault(text: str) -> str:
    """Return the error of invalid HTTP without the kind of fault.

    If there are several faults, the one that is found first in the received bytes is reported.
    """
    assert MARK not in text or not _FAULT.search(text), f"the secret is in {text!r}"
    return _FAULT.sub(r"\1", text)


def answers_without_fault(sent: bytes) -> bytes:
    """Return answers of ours without which fault a request has."""
    return _FAULT_IN_ANSWER.sub(rb"\1", sent)


def as_text(data: str | bytes) -> str:
    """Return bytes as the environment gives them."""
    return data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
