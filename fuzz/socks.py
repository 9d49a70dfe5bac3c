"""SOCKS 4, 4a and 5 requests.

Where the first byte is 1, a user name and a password are required.
"""

from fuzz.handshakes import Run, hold_handshake
from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.protocol_detection import SOCKS5
from netjumper.bridge.socks import SocksHandshake
from netjumper.errors import AddressError, AuthenticationError, ProtocolError, TargetRefused
from netjumper.protocol.handshake import TunnelRequest

CREDENTIALS = Credentials({"alice": "open sesame"})
LOGIN = b"\x05alice\x0bopen sesame"
MOST_SENT = 2 + 2 + 10


def check(data: bytes) -> None:
    """Hold the properties for one input."""
    credentials = CREDENTIALS if data[:1] == b"\1" else None
    hold_socks(
        data[1:],
        credentials,
        hold_handshake(lambda: SocksHandshake(credentials), data[1:], most_sent=MOST_SENT),
    )
    _hold_decided(data[1:], credentials)


def hold_socks(stream: bytes, credentials: Credentials | None, whole: Run) -> None:
    """Hold what is true of a SOCKS request that came to `whole`."""
    if whole.error is not None:
        known = (AddressError, AuthenticationError, ProtocolError)
        assert issubclass(whole.error, known), f"{whole.error} is none of a client's"
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


def _hold_decided(stream: bytes, credentials: Credentials | None) -> None:
    """Once there is a request it can be granted and refused, in a few bytes."""
    size = 10 if stream[:1] == bytes((SOCKS5,)) else 8
    for refuse in (False, True):
        handshake = SocksHandshake(credentials)
        try:
            handshake.receive_data(stream)
        except (AddressError, AuthenticationError, ProtocolError):
            return
        if handshake.result is not None:
            handshake.data_to_send()
            handshake.reject(TargetRefused("no")) if refuse else handshake.accept()
            assert len(handshake.data_to_send()) == size
