"""The jump server's side of the netjumper protocol.

If the first byte is 1, the correct answer to the challenge precedes the other bytes.
"""

from fuzz.handshakes import check_handshake, one_by_one, run
from netjumper.addressing.address import Address
from netjumper.errors import AuthenticationError, ProtocolError, TargetError
from netjumper.protocol.handshake import EndOfStream, TunnelRequest
from netjumper.protocol.wire import ClientHandshake, ServerHandshake, answer_to, frame
from netjumper.server.clients import single_secret
from netjumper.server.guard import Guard

SECRET = b"must never be shown"
CHALLENGE = bytes(range(32))
ANSWER = frame(answer_to(CHALLENGE, SECRET))
REFUSALS = (AuthenticationError, ProtocolError)
MAX_SENT = 33 + 1 + 257


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    stream = ANSWER + data[1:] if data[:1] == b"\1" else data[1:]
    whole = check_handshake(_server, stream, max_sent=MAX_SENT)
    assert SECRET not in whole.sent
    assert SECRET.decode() not in whole.text
    if whole.error is not None:
        assert issubclass(whole.error, (*REFUSALS, TargetError, EndOfStream))
    if whole.error in REFUSALS:
        assert not stream.startswith(ANSWER)
    elif whole.is_over:
        assert stream.startswith(ANSWER), "it accepted a client without the answer"
    if isinstance(whole.result, TunnelRequest):
        assert Address.parse(str(whole.result.target)) == whole.result.target
    if whole.error is not None and issubclass(whole.error, TargetError):
        client = ClientHandshake(SECRET)
        client.request(Address("www.example.org", 443))
        received = run(client, one_by_one(whole.sent))
        assert received.error is whole.error, (
            f"the client receives {received.error}: {received.text!r}"
        )


def _server() -> ServerHandshake:
    return ServerHandshake(single_secret(SECRET, Guard()).verify, CHALLENGE)
