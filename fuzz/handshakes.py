"""Properties of every handshake, for any bytes (`netjumper.protocol.handshake`)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from fuzz.properties import LONGEST_LINE, answers_without_fault, without_fault
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.errors import NetjumperError
from netjumper.protocol.handshake import Handshake
from netjumper.text import printable

MAX_WANTED = 255
HELD = 256
"""Bytes that a handshake may hold while it waits for more."""
A_LITTLE = 3
"""Bytes: less than a step of most handshakes."""

Make = Callable[[], Handshake[Any]]


@dataclass(frozen=True)
class Run:
    """What a handshake came to: what it sent, its result or its error, what it left over."""

    sent: bytes
    result: object = None
    error: type[NetjumperError] | None = None
    text: str = ""
    has_request: bool = False
    trailing: bytes = b""

    @property
    def is_over(self) -> bool:
        """Whether more bytes change nothing."""
        return self.result is not None or self.error is not None


def hold_handshake(make: Make, stream: bytes, *, most_sent: int) -> Run:
    """Feed `stream` in several ways, which must come to the same; return what that is.

    Args:
        make: makes the handshake.
        stream: what the peer sends.
        most_sent: bytes that it may send at most.
    """
    whole = run(make(), in_one_piece(stream))
    assert run(make(), one_by_one(stream)) == whole, "it matters how the bytes are cut"
    assert run(make(), in_two_pieces(stream)) == whole, "two pieces are another thing"
    if not isinstance(make(), HttpHandshake):  # which wants one byte at a time, as above
        as_wanted = _run_as_wanted(make(), stream)
        assert as_wanted == replace(whole, trailing=b""), "it wants what follows"
    assert len(whole.sent) <= most_sent, f"{len(whole.sent)} bytes are sent"
    assert len(whole.text) <= LONGEST_LINE, f"{len(whole.text)} characters in an error"
    assert printable(whole.text).isprintable()
    assert stream.endswith(whole.trailing), "what came behind it is changed"
    if not whole.is_over:
        assert run(make(), [*in_one_piece(stream), b""]).is_over, "it waits for a peer that is gone"
    return whole


def run(handshake: Handshake[Any], pieces: Iterable[bytes]) -> Run:
    """Feed pieces (`b""` is the end of the stream) until it fails, or there are no more."""
    sent = handshake.data_to_send()
    left = iter(pieces)
    try:
        for piece in left:
            if not piece and not handshake.has_request:
                return Run(sent, error=NetjumperError)  # such an end is not passed to it
            handshake.receive_data(piece)
            sent += handshake.data_to_send()
            if handshake.result is not None:
                break
            _hold_waiting(handshake, piece)
    except NetjumperError as error:
        return _failed(sent + handshake.data_to_send(), error)
    if handshake.result is None:
        return Run(sent, has_request=handshake.has_request)
    result, held = _comparable(handshake.result)
    trailing = held + handshake.trailing_data() + b"".join(left)
    return Run(sent, result, trailing=trailing)


def in_one_piece(stream: bytes) -> list[bytes]:
    """Return `stream` as it comes all at once; an empty piece would be its end."""
    return [stream] if stream else []


def in_two_pieces(stream: bytes) -> list[bytes]:
    """Return the halves of `stream`."""
    middle = len(stream) // 2
    return [piece for piece in (stream[:middle], stream[middle:]) if piece]


def one_by_one(stream: bytes) -> list[bytes]:
    """Return the single bytes of `stream`."""
    return [stream[i : i + 1] for i in range(len(stream))]


def _hold_waiting(handshake: Handshake[Any], piece: bytes) -> None:
    held = handshake.trailing_size
    assert held <= HELD, f"{held} bytes are held"
    if piece:
        assert 1 <= handshake.wanted <= MAX_WANTED, f"it wants {handshake.wanted} bytes"


def _run_as_wanted(handshake: Handshake[Any], stream: bytes) -> Run:
    """Read little at a time, and no more than it wants: nothing behind it is taken."""
    sent, at = handshake.data_to_send(), 0
    try:
        while at < len(stream) and handshake.result is None:
            piece = stream[at : at + min(handshake.wanted, A_LITTLE)]
            at += len(piece)
            handshake.receive_data(piece)
            sent += handshake.data_to_send()
    except NetjumperError as error:
        return _failed(sent + handshake.data_to_send(), error)
    asked = handshake.result is None and handshake.has_request
    result, held = _comparable(handshake.result)
    assert result is None or not held + handshake.trailing_data()
    return Run(sent, result, has_request=asked)


def _failed(sent: bytes, error: NetjumperError) -> Run:
    return Run(answers_without_fault(sent), None, type(error), without_fault(str(error)))


def _comparable(result: object) -> tuple[object, bytes]:
    """Return a result as what can be compared, and what came behind it within it."""
    if not isinstance(result, AuthorizedRequest):
        return result, b""
    request = result.request
    fields = list(request.headers.raw_items())
    description = (request.method, request.target, request.http_version, fields, result.client)
    return description, result.server.trailing_data()
