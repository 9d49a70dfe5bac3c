"""The driver that every handshake shares, seen through a small protocol made for it."""

from collections.abc import Generator

import pytest

from netjumper.errors import ProtocolError
from netjumper.protocol.handshake import EndOfStream, Handshake, ListeningHandshake
from tests.support.byte_splits import (
    TRAILING,
    end_after_each_byte,
    feed_all_splits,
    one_by_one,
    run,
)

LIMIT = 8


class Letter(Handshake[tuple[bytes, bytes]]):
    """Says hello, reads three bytes, says thanks, reads a line of up to eight bytes."""

    __slots__ = ()

    def _steps(self) -> Generator[None, None, tuple[bytes, bytes]]:
        self._write(b"hello")
        name = yield from self._read_exactly(3)
        self._write(b"thanks " + name)
        line = yield from self._read_until(b"\r\n", LIMIT)
        return name, line


class Rest(Handshake[bytes]):
    """Takes what there is, once."""

    __slots__ = ()

    def _steps(self) -> Generator[None, None, bytes]:
        return (yield from self._read_some())


def test_result_does_not_depend_on_how_bytes_are_split() -> None:
    outcome = feed_all_splits(Letter, b"abcline\r\n")
    assert outcome.result == (b"abc", b"line")
    assert outcome.sent == b"hellothanks abc"


def test_the_first_words_are_there_before_anything_came() -> None:
    handshake = Letter()
    assert handshake.data_to_send() == b"hello"
    assert handshake.data_to_send() == b""


def test_the_end_of_the_stream_in_the_middle_is_an_error() -> None:
    for ended in end_after_each_byte(Letter, b"abcline\r\n"):
        assert ended.error is EndOfStream
        assert ended.text == "the connection was closed in the middle of the handshake"


def test_end_of_stream_after_the_result_is_ignored() -> None:
    handshake = Letter()
    assert run(handshake, [b"abcline\r\n", b""]).result == (b"abc", b"line")


@pytest.mark.parametrize("line", [b"", b"x" * LIMIT])
def test_a_line_up_to_its_limit_is_taken(line: bytes) -> None:
    assert feed_all_splits(Letter, b"abc" + line + b"\r\n").result == (b"abc", line)


def test_a_line_over_its_limit_is_refused_before_it_is_complete() -> None:
    outcome = feed_all_splits(Letter, b"abc" + b"x" * (LIMIT + 2))
    assert outcome.error is ProtocolError
    assert outcome.text == "a field is longer than 8 bytes"


def test_a_complete_line_over_its_limit_is_refused_too() -> None:
    assert feed_all_splits(Letter, b"abc" + b"x" * (LIMIT + 1) + b"\r\n").error is ProtocolError


def test_trailing_bytes_are_kept_once_and_grow() -> None:
    handshake = Letter()
    handshake.receive_data(b"abc\r\n" + TRAILING)
    handshake.receive_data(b"more")
    assert handshake.trailing_size == len(TRAILING) + 4
    assert handshake.trailing_data() == TRAILING + b"more"
    assert handshake.trailing_data() == b""


def test_wanted_never_reads_past_a_step() -> None:
    handshake = Letter()
    seen = []
    for byte in one_by_one(b"abc\r\n"):
        seen.append(handshake.wanted)
        handshake.receive_data(byte)
    assert seen == [3, 2, 1, 1, 1]


def test_reading_some_takes_all_there_is() -> None:
    assert run(Rest(), [b"abc"]).result == b"abc"
    assert run(Rest(), [b""]).result == b""


def test_handshake_without_steps_is_an_error() -> None:
    with pytest.raises(NotImplementedError):
        Handshake()


class Silent(ListeningHandshake[bytes]):
    """A listening handshake that forgot to say how it answers."""

    __slots__ = ()

    def _steps(self) -> Generator[None, None, bytes]:
        return (yield from self._read_some())


def test_listening_handshake_must_define_its_answers() -> None:
    with pytest.raises(NotImplementedError):
        Silent().accept()
    with pytest.raises(NotImplementedError):
        Silent().reject(ProtocolError("no"))
