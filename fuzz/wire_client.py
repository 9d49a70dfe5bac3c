"""The client's side of the netjumper protocol.

The first byte says whether the client names its target before the challenge (0), or never (1). The
jump server sends the other bytes.
"""

from fuzz.handshakes import check_handshake
from netjumper.addressing.address import Address
from netjumper.errors import JumpHostProtocolError, TargetError, WrongSecret
from netjumper.protocol.wire import (
    MIN_CHALLENGE_SIZE,
    ClientHandshake,
    answer_to,
    destination_frame,
    frame,
)

SECRET = b"must never be shown"
TARGET = Address("www.example.org", 443)
MAX_SENT = 21 + 256


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    parked, stream = bool(data[:1] > b"\0"), data[1:]

    def make() -> ClientHandshake:
        client = ClientHandshake(SECRET)
        if not parked:
            client.request(TARGET)
        return client

    whole = check_handshake(make, stream, max_sent=MAX_SENT)
    assert whole.result in (None, TARGET)
    if whole.error is not None:
        known = (JumpHostProtocolError, WrongSecret, *([] if parked else [TargetError]))
        assert issubclass(whole.error, known), f"{whole.error} is not an error of a client"
    has_challenge = bool(stream) and stream[0] >= MIN_CHALLENGE_SIZE
    after_challenge = stream[1 + stream[0] :] if has_challenge else b""
    if parked and after_challenge and after_challenge[0] == 0 and len(after_challenge) > 1:
        assert whole.error is JumpHostProtocolError, "data without a destination was accepted"
    assert SECRET.decode() not in whole.text
    assert whole.sent == _expected_bytes(stream, parked), whole.sent


def _expected_bytes(stream: bytes, parked: bool) -> bytes:
    if len(stream) < 1 or len(stream) <= stream[0] or stream[0] < MIN_CHALLENGE_SIZE:
        return b""
    answer = frame(answer_to(stream[1 : 1 + stream[0]], SECRET))
    return answer if parked else answer + destination_frame(TARGET)
