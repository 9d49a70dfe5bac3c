"""HTTP proxy requests up to the first that is served: heads, passwords, CONNECT.

Where the first byte is 1, a user name and a password are required.
"""

import base64
import binascii
import re

from fuzz.handshakes import Make, Run, hold_handshake, one_by_one
from fuzz.socks import CREDENTIALS
from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.handshake import HttpHandshake
from netjumper.bridge.http.messages import MAX_HEAD_BYTES
from netjumper.errors import AddressError, AuthenticationError, NetjumperError, ProtocolError
from netjumper.protocol.handshake import TunnelRequest

LOGIN = b"alice:open sesame"
MOST_FOR_ONE = 2000
"""Bytes of an answer of ours."""

_LOGIN = re.compile(rb"proxy-authorization:[ \t]*basic[ \t]+([^\r\n]*)", re.IGNORECASE)
_AMBIGUOUS = re.compile(rb"\r(?!\n)|\n[ \t]")
_HEAD_END = re.compile(rb"\n\r?\n")
_WITH_PASSWORD = re.compile(rb"^CONNECT [^ @]*:([^ @]*)@", re.MULTILINE)


def check(data: bytes) -> None:
    """Hold the properties for one input."""
    credentials = CREDENTIALS if data[:1] == b"\1" else None
    stream = data[1:]
    whole = hold_handshake(lambda: HttpHandshake(credentials), stream, most_sent=most_sent(stream))
    hold_http(stream, credentials, whole)
    if not whole.is_over:
        _hold_bounded(lambda: HttpHandshake(credentials), stream)


def most_sent(stream: bytes) -> int:
    """Return how many bytes the answers to the requests in `stream` take at most."""
    return MOST_FOR_ONE * (len(_HEAD_END.findall(stream)) + 1)


def hold_http(stream: bytes, credentials: Credentials | None, whole: Run) -> None:
    """Hold what is true of HTTP requests that came to `whole`."""
    if whole.error is not None:
        known = (AddressError, AuthenticationError, ProtocolError)
        assert issubclass(whole.error, known), f"{whole.error} is none of a client's"
    said = whole.sent.decode().replace("\r\n", "").replace("\n", "")
    assert said.isascii(), said
    assert said.isprintable(), said
    for password in _WITH_PASSWORD.findall(stream):
        if len(password) >= 6 and stream.count(password) == 1:
            assert password not in whole.sent + whole.text.encode()
    if whole.result is not None:
        heads = stream.removesuffix(whole.trailing)
        assert not _AMBIGUOUS.search(heads), "two readers see two heads"
    if isinstance(whole.result, TunnelRequest):
        assert Address.parse(str(whole.result.target)) == whole.result.target
    if credentials is not None:
        assert whole.result is None or any(map(_is_right, _LOGIN.findall(stream)))


def _is_right(token: bytes) -> bool:
    try:
        return base64.b64decode(token) == LOGIN
    except binascii.Error:
        return False


def _hold_bounded(make: Make, stream: bytes) -> None:
    """A head that never ends is refused."""
    handshake = make()
    for byte in one_by_one(stream):
        handshake.receive_data(byte)
    try:
        handshake.receive_data(b"x" * (MAX_HEAD_BYTES + 1))
    except NetjumperError:
        return
    raise AssertionError("a head may be as long as it likes")
