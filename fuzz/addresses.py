"""Texts with addresses: an address, a listening address, a jump host, a target rule."""

import re
from functools import partial

from fuzz.properties import as_text, assert_hidden, assert_one_line, outcome_of
from netjumper.addressing.address import Address
from netjumper.addressing.jump_url import JumpUrl
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.target_rules import Rule
from netjumper.errors import AddressError

_SECRET = re.compile(r"\A((?:[A-Za-z0-9+.-]*://)?[^/?#:@]*):(?!//)[^@]*@")
"""A jump host up to its secret, and the secret, also in an invalid text."""


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    text = as_text(data)
    for kind in (Address, ListenAddress, Rule):
        parsed = outcome_of(partial(kind.parse, text), AddressError)
        if isinstance(parsed, kind):
            written = str(parsed)
            assert kind.parse(written) == parsed, f"{parsed!r} is written as {written!r}"
            if not isinstance(parsed, ListenAddress) or not parsed.path:
                assert_one_line(written)
        else:
            assert_one_line(str(parsed))
    assert_jump_host(text)


def assert_jump_host(text: str) -> None:
    """Assert that a jump host survives a round trip, or is refused without showing its secret."""
    parsed = outcome_of(lambda: JumpUrl.parse(text), AddressError)
    without_secret = _SECRET.sub(r"\1@", text)
    assert_one_line(str(parsed))
    if not isinstance(parsed, JumpUrl):
        assert_hidden(without_secret, str(parsed))
        return
    assert_hidden(without_secret, str(parsed), repr(parsed))
    assert JumpUrl.parse(parsed.written(parsed.secret)) == parsed
