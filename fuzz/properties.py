"""Assertions and helpers that several targets share."""

import re
from collections.abc import Callable
from typing import TypeVar

from netjumper.errors import NetjumperError

MAX_LINE_CHARACTERS = 1000
"""Of an error; it can repeat some of the input, but not much."""

MARK = "hunter2"
"""A part of all secrets in the seeds."""

T = TypeVar("T")

_FAULT = re.compile(r"(not (?:a )?valid HTTP(?: request)?: ).*", re.DOTALL)
_FAULT_IN_ANSWER = re.compile(
    rb"Content-Length: [0-9]+\r\n([^\n]*\n[^\n]*\n\r\nThe request is not valid: )[^\n]*"
)


def outcome_of(call: Callable[[], T], expected: type[NetjumperError]) -> T | NetjumperError:
    """Return the value of a call, or its error if that is `expected`."""
    try:
        return call()
    except expected as error:
        error.__context__ = None  # pydantic's context keeps this frame alive, hidden from gc
        return error


def assert_one_line(text: str) -> None:
    """Assert that an error is one line for a log or a terminal."""
    assert text, "an empty error"
    assert text.isprintable(), f"not printable: {text!r}"
    assert len(text) <= MAX_LINE_CHARACTERS, f"{len(text)} characters in {text[:100]!r}..."


def assert_hidden(elsewhere: str, *texts: str) -> None:
    """Assert that texts contain no secret.

    Args:
        elsewhere: the input without secrets; if it contains the mark, texts can repeat that.
        texts: to check.
    """
    for text in texts:
        assert MARK in elsewhere or MARK not in text, f"the secret is in {text!r}"


def without_fault(text: str) -> str:
    """Return the error of invalid HTTP without the kind of fault.

    If there are several faults, the one that is found first in the received bytes is reported.
    """
    assert MARK not in text or not _FAULT.search(text), f"the secret is in {text!r}"
    return _FAULT.sub(r"\1", text)


def answers_without_fault(sent: bytes) -> bytes:
    """Return the bridge's answers without the kind of fault of a request."""
    return _FAULT_IN_ANSWER.sub(rb"\1", sent)


def as_text(data: str | bytes) -> str:
    """Return bytes as text, decoded like environment variables."""
    return data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
