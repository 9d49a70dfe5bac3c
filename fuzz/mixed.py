"""The mixed listener, where the first byte of a connection selects the protocol.

If the first byte of the input is 1, a user name and a password are required.
"""

from fuzz.handshakes import check_handshake
from fuzz.http_proxy import assert_http, max_sent
from fuzz.socks import CREDENTIALS, assert_socks
from netjumper.bridge.bridge import _handshakes
from netjumper.bridge.protocol_detection import SOCKS4, SOCKS5

FIRST_OF_HTTP = frozenset(b"\r\n!#$%&'*+-.^_`|~0123456789").union(
    range(ord("A"), ord("Z") + 1), range(ord("a"), ord("z") + 1)
)
"""First bytes of a method (RFC 9110 section 5.6.2) and of an empty line before it."""


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    credentials = CREDENTIALS if data[:1] == b"\1" else None
    stream = data[1:]
    if not stream:
        return
    choose = _handshakes(credentials)["mixed"]
    assert type(choose(stream)) is type(choose(stream[:1]))
    whole = check_handshake(lambda: choose(stream[:1]), stream, max_sent=max_sent(stream))
    if stream[0] in (SOCKS4, SOCKS5):
        assert_socks(stream, credentials, whole)
    else:
        assert_http(stream, credentials, whole)
        assert whole.result is None or stream[0] in FIRST_OF_HTTP, "it accepted an unknown protocol"
