"""How a handshake is fed: whole, byte by byte, in every two pieces, with more behind it.

One read is never one message, so each way of cutting the same bytes must come to the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netjumper.errors import NetjumperError
from netjumper.protocol.handshake import Handshake

FOLLOWING = b"\x00\x01what comes behind\r\n\r\n\xff"
"""Bytes that every handshake would read as something, if it read them."""

Make = Callable[[], Handshake[Any]]


@dataclass(frozen=True)
class Run:
    """What a handshake came to: what it sent, its result or its error, what it left over."""

    sent: bytes
    result: object = None
    error: type[NetjumperError] | None = None
    text: str = ""
    trailing: bytes = b""


def run(handshake: Handshake[Any], pieces: Iterable[bytes]) -> Run:
    """Feed `pieces` (`b""` is the end of the stream) until there are no more, or it fails."""
    sent = handshake.data_to_send()
    try:
        for piece in pieces:
            handshake.receive_data(piece)
            sent += handshake.data_to_send()
    except NetjumperError as error:
        sent += handshake.data_to_send()
        return Run(sent, error=type(error), text=str(error))
    if handshake.result is None:
        return Run(sent)
    return Run(sent, handshake.result, trailing=handshake.trailing_data())


def one_by_one(stream: bytes) -> list[bytes]:
    """Return the single bytes of `stream`."""
    return [stream[i : i + 1] for i in range(len(stream))]


def in_two_pieces(stream: bytes) -> Iterator[Sequence[bytes]]:
    """Cut `stream` in two at every place."""
    for i in range(1, len(stream)):
        yield stream[:i], stream[i:]


def every_way(stream: bytes) -> Iterator[Sequence[bytes]]:
    """Cut `stream` in every way that is tested."""
    yield [stream]
    yield one_by_one(stream)
    yield from in_two_pieces(stream)


def feed_every_way(make: Make, stream: bytes) -> Run:
    """Feed `stream` to a new handshake in every way, hold them equal, and return what it was.

    A handshake that succeeds must need the last byte of `stream`, and must leave alone what
    comes behind it; one that fails must fail the same way with more behind it.
    """
    whole = run(make(), [stream])
    assert whole.trailing == b""
    for pieces in every_way(stream):
        assert run(make(), pieces) == whole, pieces
    if whole.error is None and whole.result is not None:
        assert run(make(), one_by_one(stream[:-1])).result is None
        with_more = replace(whole, trailing=FOLLOWING)
    else:
        with_more = whole
    if whole.error is not None or whole.result is not None:
        for pieces in every_way(stream + FOLLOWING):
            assert run(make(), pieces) == with_more, pieces
    return whole


def end_everywhere(make: Make, stream: bytes) -> list[Run]:
    """End the stream after each byte of `stream` but the last; return what each end came to."""
    return [run(make(), [*one_by_one(stream[:i]), b""]) for i in range(len(stream))]


def taken_before_refusal(handshake: Handshake[Any], filler: bytes, limit: int) -> int:
    """Send `filler` again and again; return how many bytes were taken before it was refused."""
    for taken in range(0, limit, len(filler)):
        try:
            handshake.receive_data(filler)
        except NetjumperError:
            return taken
    raise AssertionError(f"{limit} bytes were taken, and it wants more")
