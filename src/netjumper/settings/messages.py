"""Texts about a wrong setting: what was expected, and which similar name may be meant."""

import difflib
from collections.abc import Mapping

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from netjumper.settings.types import LIST_OF, Expected
from netjumper.text import quoted

VISIBLE_IN_ARGV = (
    "{} is on the command line, which every user of this machine can read; use {} or {} instead"
)
"""The warning about a secret on the command line: its name, and the two better ways."""


def did_you_mean(word: str, known: Mapping[str, object] | set[str], prefix: str = "") -> str:
    """Return the end of a message about an unknown word, if a known one is similar; else empty.

    Args:
        word: the unknown one.
        known: all known ones.
        prefix: stands before each of them in the message.
    """
    close = difflib.get_close_matches(word, sorted(known), 1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def describe_wrong_value(error: ErrorDetails, expected: Expected, value: object) -> str:
    """Return why a value is wrong, and what was expected.

    Args:
        error: pydantic's description.
        expected: what the setting takes.
        value: the value; None shows none.
    """
    if reason := str(error.get("ctx", {}).get("error", "")):
        return f"{reason}; expected {expected.text.removeprefix(LIST_OF)}"
    instead = "" if value is None else f", not {_shown(value)}"
    return f"expected {expected.text}{instead}"


def expectation(info: FieldInfo) -> Expected:
    """Return what values a setting takes."""
    return next(it for it in info.metadata if isinstance(it, Expected))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as TOML writes it
    return quoted(value) if isinstance(value, str) else quoted(repr(value))[1:-1]
