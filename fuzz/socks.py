"""SOCKS 4, 4a and 5 requests.

If the first byte is 1, a user name and a password are required.
"""

from fuzz.handshakes import Run, check_handshake
from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.protocol_detection import SOCKS5
from netjumper.bridge.socks import SocksHandshake
from netjumper.errors import (
    AddressError,
    AuthenticationError,
    CredentialsMissing,
    ProtocolError,
    TargetRefused,
)
from netjumper.protocol.handshake import TunnelRequest

CREDENTIALS = Credentials({"alice": "open sesame"})
LOGIN = b"\x05alice\x0bopen sesame"
MAX_SENT = 2 + 2 + 10


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    credentials = CREDENTIALS if data[:1] == b"\1" else None
    assert_socks(
        data[1:],
        credentials,
        check_handshake(lambda: SocksHandshake(credentials), data[1:], max_sent=MAX_SENT),
    )
    _assert_answers(data[1:], credentials)


def assert_socks(stream: bytes, credentials: Credentials | None, whole: Run) -> None:
    """Assert the properties of a SOCKS request with the outcome `whole`."""
    if whole.error is not None:
        known = (AddressError, AuthenticationError, CredentialsMissing, ProtocolError)
        assert issubclass(whole.error, known), f"{whole.error} is not an error of a client"
    if not isinstance(whole.result, TunnelRequest):
        assert whole.result is None
        return
    assert Address.parse(str(whole.result.target)) == whole.result.target
    if credentials is None:
        assert whole.result.client == ""
    else:
        assert stream[0] == SOCKS5
        assert LOGIN in stream, "it accepted a client without a password"
        assert whole.result.client == "alice"


def _assert_answers(stream: bytes, credentials: Credentials | None) -> None:
    """Assert that a request can be granted and refused, with answers of the right size."""
    size = 10 if stream[:1] == bytes((SOCKS5,)) else 8
    for refuse in (False, True):
        handshake = SocksHandshake(credentials)
        try:
            handshake.receive_data(stream)
        except (AddressError, AuthenticationError, CredentialsMissing, ProtocolError):
            return
        if handshake.result is not None:
            handshake.data_to_send()
            handshake.reject(TargetRefused("no")) if refuse else handshake.accept()
            assert len(handshake.data_to_send()) == size
