"""HTTP proxy requests up to the first accepted one: heads, passwords, CONNECT.

If the first byte is 1, a user name and a password are required.
"""

import base64
import binascii
import re

from fuzz.handshakes import Make, Run, check_handshake, one_by_one
from fuzz.socks import CREDENTIALS
from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.handshake import HttpHandshake
from netjumper.bridge.http.messages import MAX_HEAD_BYTES
from netjumper.errors import (
    AddressError,
    AuthenticationError,
    CredentialsMissing,
    NetjumperError,
    ProtocolError,
)
from netjumper.protocol.handshake import TunnelRequest

LOGIN = b"alice:open sesame"
MAX_ANSWER_BYTES = 2000
"""Of one answer of the bridge."""

_LOGIN = re.compile(rb"proxy-authorization:[ \t]*basic[ \t]+([^\r\n]*)", re.IGNORECASE)
_AMBIGUOUS = re.compile(rb"\r(?!\n)|\n[ \t]")
_HEAD_END = re.compile(rb"\n\r?\n")
_WITH_PASSWORD = re.compile(rb"^CONNECT [^ @]*:([^ @]*)@", re.MULTILINE)


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    credentials = CREDENTIALS if data[:1] == b"\1" else None
    stream = data[1:]
    whole = check_handshake(lambda: HttpHandshake(credentials), stream, max_sent=max_sent(stream))
    assert_http(stream, credentials, whole)
    if not whole.is_over:
        _assert_bounded(lambda: HttpHandshake(credentials), stream)


def max_sent(stream: bytes) -> int:
    """Return the maximum size in bytes of the answers to the requests in `stream`."""
    return MAX_ANSWER_BYTES * (len(_HEAD_END.findall(stream)) + 1)


def assert_http(stream: bytes, credentials: Credentials | None, whole: Run) -> None:
    """Assert the properties of HTTP requests with the outcome `whole`."""
    if whole.error is not None:
        known = (AddressError, AuthenticationError, CredentialsMissing, ProtocolError)
        assert issubclass(whole.error, known), f"{whole.error} is not an error of a client"
    answers = whole.sent.decode().replace("\r\n", "").replace("\n", "")
    assert answers.isascii(), answers
    assert answers.isprintable(), answers
    for password in _WITH_PASSWORD.findall(stream):
        if len(password) >= 6 and stream.count(password) == 1:
            assert password not in whole.sent + whole.text.encode()
    if whole.result is not None:
        heads = stream.removesuffix(whole.trailing)
        assert not _AMBIGUOUS.search(heads), "parsers can disagree about the head"
    if isinstance(whole.result, TunnelRequest):
        assert Address.parse(str(whole.result.target)) == whole.result.target
    if credentials is not None:
        assert whole.result is None or any(map(_is_right, _LOGIN.findall(stream)))


def _is_right(token: bytes) -> bool:
    try:
        return base64.b64decode(token) == LOGIN
    except binascii.Error:
        return False


def _assert_bounded(make: Make, stream: bytes) -> None:
    """Assert that a head without an end is refused."""
    handshake = make()
    for byte in one_by_one(stream):
        handshake.receive_data(byte)
    try:
        handshake.receive_data(b"x" * (MAX_HEAD_BYTES + 1))
    except NetjumperError:
        return
    raise AssertionError("a head of any size is accepted")
