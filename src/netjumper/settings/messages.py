"""What is said of a setting that is wrong: what was expected, and what was meant perhaps."""

import difflib
from collections.abc import Mapping

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from netjumper.settings.types import LIST_OF, Expected
from netjumper.text import quoted

IN_ARGV = (
    "{} is on the command line, which every user of this machine can read; use {} or {} instead"
)
"""The warning about a secret there; what it is, and the two better ways."""


def did_you_mean(word: str, known: Mapping[str, object] | set[str], prefix: str = "") -> str:
    """Return the end of a message about a word that is not known, if another is like it."""
    close = difflib.get_close_matches(word, sorted(known), 1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def what_is_wrong(error: ErrorDetails, expected: Expected, value: object) -> str:
    """Return what was expected instead of a value, and why that one will not do.

    Args:
        error: what pydantic says.
        expected: what the key wants.
        value: what it got; None is not to be shown.
    """
    if reason := str(error.get("ctx", {}).get("error", "")):
        return f"{reason}; expected {expected.text.removeprefix(LIST_OF)}"
    instead = "" if value is None else f", not {_shown(value)}"
    return f"expected {expected.text}{instead}"


def expectation(info: FieldInfo) -> Expected:
    """Return what a key wants."""
    return next(it for it in info.metadata if isinstance(it, Expected))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as TOML writes it
    return quoted(value) if isinstance(value, str) else quoted(repr(value))[1:-1]
