"""Where things are, as one text each: an address, a listening address, a jump host, a rule."""

import re
from functools import partial

from fuzz.properties import as_text, hold_hidden, hold_one_line, outcome_of
from netjumper.addressing.address import Address
from netjumper.addressing.jump_url import JumpUrl
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.target_rules import Rule
from netjumper.errors import AddressError

_SECRET = re.compile(r"\A((?:[A-Za-z0-9+.-]*://)?[^/?#:@]*):(?!//)[^@]*@")
"""A jump host's line up to its secret, and the secret, whether or not it is one otherwise."""


def check(data: bytes) -> None:
    """Hold the properties for one input."""
    text = as_text(data)
    for kind in (Address, ListenAddress, Rule):
        read = outcome_of(partial(kind.parse, text), AddressError)
        if isinstance(read, kind):
            written = str(read)
            assert kind.parse(written) == read, f"{read!r} is written as {written!r}"
            if not isinstance(read, ListenAddress) or not read.path:
                hold_one_line(written)
        else:
            hold_one_line(str(read))
    hold_jump_host(text)


def hold_jump_host(text: str) -> None:
    """A jump host is read, or refused without its secret; what was read is written the same."""
    read = outcome_of(lambda: JumpUrl.parse(text), AddressError)
    without_secret = _SECRET.sub(r"\1@", text)
    hold_one_line(str(read))
    if not isinstance(read, JumpUrl):
        hold_hidden(without_secret, str(read))
        return
    hold_hidden(without_secret, str(read), repr(read))
    assert JumpUrl.parse(read.written(read.secret)) == read
