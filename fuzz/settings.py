"""What settings come to, from a file or from text."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from unittest.mock import patch

from fuzz.properties import hold_hidden, outcome_of
from netjumper.addressing.jump_url import JumpUrl
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.target_rules import Rule
from netjumper.errors import NetjumperError, SettingsError
from netjumper.settings.loaded import AnyLoaded
from netjumper.text import printable

LONGEST_LINE = 2000
"""Characters: a line may have the path of a file in it, and what was typed, escaped."""

_EACH_LINE = re.IGNORECASE | re.MULTILINE
_SECRET = re.compile(r"^(?:NETJUMPER_)?(?:secret|auth)\s*=[^\n]*", _EACH_LINE)
_JUMP = re.compile(r"^(?:NETJUMPER_)?jump\s*=[^\n]*", _EACH_LINE)
_SECRET_OPTION = re.compile(r"^--(?:secret|auth)[=\n][^\n]*", re.MULTILINE)
_JUMP_OPTION = re.compile(r"^--jump[=\n][^\n]*", re.MULTILINE)
_SECRET_IN_URL = re.compile(r"([A-Za-z0-9+.-]+://[^/?#:@\s]*):[^@?\s]*@")


def hold_settings(load: Callable[[], AnyLoaded], keys: str, words: str = "") -> None:
    """Settings are accepted, or refused in lines with the reason; no secret in them is repeated.

    Args:
        load: reads them.
        keys: a file, or variables, a line each.
        words: of a command line, a line each.
    """
    elsewhere = f"{_without(_SECRET, _JUMP, keys)}\n{_without(_SECRET_OPTION, _JUMP_OPTION, words)}"
    loaded = outcome_of(load, SettingsError)
    if isinstance(loaded, NetjumperError):
        _hold_told(loaded, elsewhere, LONGEST_LINE + 6 * len(keys + words))
        return
    hold_hidden(elsewhere, repr(loaded.settings), *loaded.warnings)
    for key, value in loaded.settings:
        assert loaded.origin(key)
        for item in value if isinstance(value, tuple) else ():
            _hold_written(item)


def _hold_told(error: NetjumperError, elsewhere: str, longest: int) -> None:
    assert isinstance(error, SettingsError)
    assert error.lines
    for line in error.lines:
        assert line.strip()
        assert printable(line).isprintable()
        assert len(line) <= longest, f"{len(line)} characters in {line[:100]!r}..."
        hold_hidden(elsewhere, line)


def _without(secrets: re.Pattern[str], jumps: re.Pattern[str], text: str) -> str:
    """Return a text without its secret."""
    return jumps.sub(lambda line: _SECRET_IN_URL.sub(r"\1@", line[0]), secrets.sub("", text))


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have these variables and no others."""
    with patch.object(os, "environ", dict(variables)):  # putenv(3) would leak every one of them
        yield


def _hold_written(item: object) -> None:
    """What was read is written so that it is read as the same."""
    if isinstance(item, JumpUrl):
        assert JumpUrl.parse(item.written(item.secret)) == item
    elif isinstance(item, (ListenAddress, Rule)):
        assert type(item).parse(str(item)) == item
