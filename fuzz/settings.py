"""Properties of loading settings, from a file or from text."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from unittest.mock import patch

from fuzz.properties import assert_hidden, outcome_of
from netjumper.addressing.jump_url import JumpUrl
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.target_rules import Rule
from netjumper.errors import NetjumperError, SettingsError
from netjumper.settings.loaded import AnyLoaded
from netjumper.text import printable

MAX_LINE_CHARACTERS = 2000
"""Without the input, which a line can repeat escaped; it can contain the path of a file."""

_EACH_LINE = re.IGNORECASE | re.MULTILINE
_SECRET = re.compile(r"^(?:NETJUMPER_)?(?:secret|auth)\s*=[^\n]*", _EACH_LINE)
_JUMP = re.compile(r"^(?:NETJUMPER_)?jump\s*=[^\n]*", _EACH_LINE)
_SECRET_OPTION = re.compile(r"^--(?:secret|auth)[=\n][^\n]*", re.MULTILINE)
_JUMP_OPTION = re.compile(r"^--jump[=\n][^\n]*", re.MULTILINE)
_SECRET_IN_URL = re.compile(r"([A-Za-z0-9+.-]+://[^/?#:@\s]*):[^@?\s]*@")


def assert_settings(load: Callable[[], AnyLoaded], keys: str, words: str = "") -> None:
    """Assert that settings load, or are refused with reasons, without showing their secrets.

    Args:
        load: loads the settings.
        keys: the settings file, or a line for each variable.
        words: a line for each argument of the command line.
    """
    elsewhere = f"{_without(_SECRET, _JUMP, keys)}\n{_without(_SECRET_OPTION, _JUMP_OPTION, words)}"
    loaded = outcome_of(load, SettingsError)
    if isinstance(loaded, NetjumperError):
        _assert_refusal(loaded, elsewhere, MAX_LINE_CHARACTERS + 6 * len(keys + words))
        return
    assert_hidden(elsewhere, repr(loaded.settings), *loaded.warnings)
    for key, value in loaded.settings:
        assert loaded.origin(key)
        for item in value if isinstance(value, tuple) else ():
            _assert_round_trip(item)


def _assert_refusal(error: NetjumperError, elsewhere: str, max_characters: int) -> None:
    assert isinstance(error, SettingsError)
    assert error.lines
    for line in error.lines:
        assert line.strip()
        assert printable(line).isprintable()
        assert len(line) <= max_characters, f"{len(line)} characters in {line[:100]!r}..."
        assert_hidden(elsewhere, line)


def _without(secrets: re.Pattern[str], jumps: re.Pattern[str], text: str) -> str:
    """Return a text without its secrets."""
    return jumps.sub(lambda line: _SECRET_IN_URL.sub(r"\1@", line[0]), secrets.sub("", text))


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Replace the environment variables until the block ends."""
    with patch.object(os, "environ", dict(variables)):  # putenv(3) would leak memory
        yield


def _assert_round_trip(item: object) -> None:
    """Assert that an item is equal after it was written and parsed."""
    if isinstance(item, JumpUrl):
        assert JumpUrl.parse(item.written(item.secret)) == item
    elif isinstance(item, (ListenAddress, Rule)):
        assert type(item).parse(str(item)) == item
