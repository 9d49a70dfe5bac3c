"""Properties of all handshakes of `netjumper.protocol.handshake`, for any bytes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from fuzz.properties import MAX_LINE_CHARACTERS, answers_without_fault, without_fault
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.errors import NetjumperError
from netjumper.protocol.handshake import Handshake
from netjumper.text import printable

MAX_WANTED = 255
MAX_HELD = 256
"""Bytes that a handshake can buffer while it waits for more."""
SMALL_PIECE = 3
"""Bytes; less than a step of most handshakes."""

Make = Callable[[], Handshake[Any]]


@dataclass(frozen=True)
class Run:
    """The outcome of a handshake: the bytes it sent, its result or error, and trailing bytes."""

    sent: bytes
    result: object = None
    error: type[NetjumperError] | None = None
    text: str = ""
    has_request: bool = False
    trailing: bytes = b""

    @property
    def is_over(self) -> bool:
        """Whether the handshake has a result or an error."""
        return self.result is not None or self.error is not None


def check_handshake(make: Make, stream: bytes, *, max_sent: int) -> Run:
    """Feed `stream` in several ways, assert that the outcome is the same, and return it.

    Args:
        make: makes the handshake.
        stream: bytes of the peer.
        max_sent: maximum number of bytes that the handshake sends.
    """
    whole = run(make(), in_one_piece(stream))
    assert run(make(), one_by_one(stream)) == whole, "single bytes change the outcome"
    assert run(make(), in_two_pieces(stream)) == whole, "two pieces change the outcome"
    if not isinstance(make(), HttpHandshake):  # which reads single bytes, as one_by_one does
        as_wanted = _run_as_wanted(make(), stream)
        assert as_wanted == replace(whole, trailing=b""), "it reads bytes after the handshake"
    assert len(whole.sent) <= max_sent, f"{len(whole.sent)} bytes sent"
    assert len(whole.text) <= MAX_LINE_CHARACTERS, f"{len(whole.text)} characters in an error"
    assert printable(whole.text).isprintable()
    assert stream.endswith(whole.trailing), "trailing bytes are changed"
    if not whole.is_over:
        assert run(make(), [*in_one_piece(stream), b""]).is_over, (
            "it waits after the end of the stream"
        )
    return whole


def run(handshake: Handshake[Any], pieces: Iterable[bytes]) -> Run:
    """Feed pieces (`b""` is the end of the stream) until the handshake is over, or to the last."""
    sent = handshake.data_to_send()
    left = iter(pieces)
    try:
        for piece in left:
            if not piece and not handshake.has_request:
                return Run(sent, error=NetjumperError)  # the bridge does not pass such an end to it
            handshake.receive_data(piece)
            sent += handshake.data_to_send()
            if handshake.result is not None:
                break
            _assert_waiting(handshake, piece)
    except NetjumperError as error:
        return _failed(sent + handshake.data_to_send(), error)
    if handshake.result is None:
        return Run(sent, has_request=handshake.has_request)
    result, held = _comparable(handshake.result)
    trailing = held + handshake.trailing_data() + b"".join(left)
    return Run(sent, result, trailing=trailing)


def in_one_piece(stream: bytes) -> list[bytes]:
    """Return `stream` as one piece; none if it is empty, as an empty piece means its end."""
    return [stream] if stream else []


def in_two_pieces(stream: bytes) -> list[bytes]:
    """Return the halves of `stream`."""
    middle = len(stream) // 2
    return [piece for piece in (stream[:middle], stream[middle:]) if piece]


def one_by_one(stream: bytes) -> list[bytes]:
    """Return the single bytes of `stream`."""
    return [stream[i : i + 1] for i in range(len(stream))]


def _assert_waiting(handshake: Handshake[Any], piece: bytes) -> None:
    held = handshake.trailing_size
    assert held <= MAX_HELD, f"{held} bytes are buffered"
    if piece:
        assert 1 <= handshake.wanted <= MAX_WANTED, f"it wants {handshake.wanted} bytes"


def _run_as_wanted(handshake: Handshake[Any], stream: bytes) -> Run:
    """Feed small pieces, and never more than wanted, so that no trailing byte is read."""
    sent, at = handshake.data_to_send(), 0
    try:
        while at < len(stream) and handshake.result is None:
            piece = stream[at : at + min(handshake.wanted, SMALL_PIECE)]
            at += len(piece)
            handshake.receive_data(piece)
            sent += handshake.data_to_send()
    except NetjumperError as error:
        return _failed(sent + handshake.data_to_send(), error)
    has_request = handshake.result is None and handshake.has_request
    result, held = _comparable(handshake.result)
    assert result is None or not held + handshake.trailing_data()
    return Run(sent, result, has_request=has_request)


def _failed(sent: bytes, error: NetjumperError) -> Run:
    return Run(answers_without_fault(sent), None, type(error), without_fault(str(error)))


def _comparable(result: object) -> tuple[object, bytes]:
    """Return a comparable form of a result, and the trailing bytes that the result holds."""
    if not isinstance(result, AuthorizedRequest):
        return result, b""
    request = result.request
    fields = list(request.headers.raw_items())
    description = (request.method, request.target, request.http_version, fields, result.client)
    return description, result.server.trailing_data()
