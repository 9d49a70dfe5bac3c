"""Feed a handshake in all ways: whole, byte by byte, in two pieces, with trailing bytes.

A read can return any part of a message, so all splits of the same bytes must have the same outcome.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netjumper.errors import NetjumperError
from netjumper.protocol.handshake import Handshake

TRAILING = b"\x00\x01what comes behind\r\n\r\n\xff"
"""Bytes that would change the outcome of a handshake that reads them."""

Make = Callable[[], Handshake[Any]]


@dataclass(frozen=True)
class Run:
    """The outcome of a handshake: the bytes it sent, its result or error, and trailing bytes."""

    sent: bytes
    result: object = None
    error: type[NetjumperError] | None = None
    text: str = ""
    trailing: bytes = b""


def run(handshake: Handshake[Any], pieces: Iterable[bytes]) -> Run:
    """Feed `pieces` (`b""` is the end of the stream) to the last, or until the handshake fails."""
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
    """Yield all splits of `stream` in two."""
    for i in range(1, len(stream)):
        yield stream[:i], stream[i:]


def all_splits(stream: bytes) -> Iterator[Sequence[bytes]]:
    """Yield all tested splits of `stream`."""
    yield [stream]
    yield one_by_one(stream)
    yield from in_two_pieces(stream)


def feed_all_splits(make: Make, stream: bytes) -> Run:
    """Feed all splits of `stream` to new handshakes, assert one outcome, and return it.

    A handshake that succeeds must need the last byte of `stream` and must not read trailing bytes;
    one that fails must fail in the same way with trailing bytes.
    """
    whole = run(make(), [stream])
    assert whole.trailing == b""
    for pieces in all_splits(stream):
        assert run(make(), pieces) == whole, pieces
    if whole.error is None and whole.result is not None:
        assert run(make(), one_by_one(stream[:-1])).result is None
        with_more = replace(whole, trailing=TRAILING)
    else:
        with_more = whole
    if whole.error is not None or whole.result is not None:
        for pieces in all_splits(stream + TRAILING):
            assert run(make(), pieces) == with_more, pieces
    return whole


def end_after_each_byte(make: Make, stream: bytes) -> list[Run]:
    """Return the outcomes of handshakes whose stream ends before each byte of `stream`."""
    return [run(make(), [*one_by_one(stream[:i]), b""]) for i in range(len(stream))]


def accepted_before_refusal(handshake: Handshake[Any], filler: bytes, limit: int) -> int:
    """Feed `filler` repeatedly; return how many bytes the handshake accepted before it failed."""
    for accepted in range(0, limit, len(filler)):
        try:
            handshake.receive_data(filler)
        except NetjumperError:
            return accepted
    raise AssertionError(f"{limit} bytes were accepted")
