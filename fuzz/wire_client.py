"""The netjumper wire as its client reads it.

The first byte says when the client names its target: before the challenge (0), or never (1). What
follows comes from the jump server.
"""

from fuzz.handshakes import hold_handshake
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
MOST_SENT = 21 + 256


def check(data: bytes) -> None:
    """Hold the properties for one input."""
    parked, stream = bool(data[:1] > b"\0"), data[1:]

    def make() -> ClientHandshake:
        client = ClientHandshake(SECRET)
        if not parked:
            client.request(TARGET)
        return client

    whole = hold_handshake(make, stream, most_sent=MOST_SENT)
    assert whole.result in (None, TARGET)
    if whole.error is not None:
        known = (JumpHostProtocolError, WrongSecret, *([] if parked else [TargetError]))
        assert issubclass(whole.error, known), f"{whole.error} is none of a client's"
    answered = bool(stream) and stream[0] >= MIN_CHALLENGE_SIZE
    said = stream[1 + stream[0] :] if answered else b""
    if parked and said and said[0] == 0 and len(said) > 1:
        assert whole.error is JumpHostProtocolError, "data without a destination was accepted"
    assert SECRET.decode() not in whole.text
    assert whole.sent == _what_a_client_says(stream, parked), whole.sent


def _what_a_client_says(stream: bytes, parked: bool) -> bytes:
    if len(stream) < 1 or len(stream) <= stream[0] or stream[0] < MIN_CHALLENGE_SIZE:
        return b""
    answer = frame(answer_to(stream[1 : 1 + stream[0]], SECRET))
    return answer if parked else answer + destination_frame(TARGET)
