"""The client side of the netjumper protocol."""

import hashlib
import os

import pytest

from netjumper.errors import (
    JumpHostProtocolError,
    NetjumperError,
    TargetError,
    TargetRefused,
    WrongSecret,
)
from netjumper.protocol.wire import (
    ClientHandshake,
    frame,
    text_frame,
)
from tests.support.byte_splits import (
    TRAILING,
    all_splits,
    end_after_each_byte,
    feed_all_splits,
    run,
)
from tests.support.wire_sides import (
    ANSWER,
    CHALLENGE,
    DESTINATION,
    REFUSED,
    SECRET,
    TARGET,
    parked,
    requesting,
)


def test_a_client_is_piped_to_its_target_however_the_bytes_come() -> None:
    dial_errors = feed_all_splits(requesting, frame(CHALLENGE) + b"\0\0")
    assert dial_errors.result == TARGET
    assert dial_errors.sent == ANSWER + DESTINATION


def test_answer_destination_and_first_bytes_leave_together() -> None:
    handshake = requesting(early_data=b"GET / HTTP/1.0\r\n\r\n")
    assert handshake.data_to_send() == b""
    handshake.receive_data(frame(CHALLENGE))
    assert handshake.data_to_send() == ANSWER + DESTINATION + b"GET / HTTP/1.0\r\n\r\n"
    assert run(handshake, [b"\0\0"]).sent == b""


@pytest.mark.parametrize("size", range(16))
def test_short_challenge_is_not_answered(size: int) -> None:
    ended = run(requesting(), [frame(os.urandom(size)) + b"\0\0"])
    assert ended.error is JumpHostProtocolError
    assert ended.text == f"its challenge has {size} bytes; expected 16 to 255"
    assert ended.sent == b""


@pytest.mark.parametrize("size", range(16, 256))
def test_challenge_of_any_other_length_is_answered(size: int) -> None:
    challenge = os.urandom(size)
    ended = run(requesting(), [frame(challenge) + b"\0\0"])
    assert ended.sent == frame(hashlib.sha1(challenge + SECRET).digest()) + DESTINATION
    assert ended.result == TARGET


def test_without_a_destination_a_client_waits_behind_the_verdict() -> None:
    for pieces in all_splits(frame(CHALLENGE) + b"\0"):
        handshake = ClientHandshake(SECRET)
        waiting = run(handshake, pieces)
        assert waiting.sent == ANSWER
        assert waiting.error is None
        assert waiting.result is None
        assert handshake.authenticated


def test_a_destination_named_between_answer_and_verdict_leaves_at_once() -> None:
    handshake = ClientHandshake(SECRET)
    assert run(handshake, [frame(CHALLENGE)]).sent == ANSWER
    assert not handshake.authenticated
    handshake.request(TARGET)
    assert handshake.data_to_send() == DESTINATION
    assert run(handshake, [b"\0\0"]).result == TARGET


def test_a_parked_connection_sends_its_destination_in_one_piece() -> None:
    handshake = parked()
    handshake.request(TARGET)
    handshake.send_early(b"early")
    assert handshake.data_to_send() == DESTINATION + b"early"
    ended = run(handshake, [b"\0" + TRAILING])
    assert ended.result == TARGET
    assert ended.trailing == TRAILING


def test_parked_connection_gets_the_reason_of_a_failed_dial() -> None:
    def asking_late() -> ClientHandshake:
        handshake = parked()
        handshake.request(TARGET)
        return handshake

    assert feed_all_splits(asking_late, b"\1" + text_frame(REFUSED)).error is TargetRefused


@pytest.mark.parametrize("pieces", [[b"x"], [b"\0"]])
def test_a_server_must_not_speak_on_a_parked_connection(pieces: list[bytes]) -> None:
    ended = run(parked(), pieces)
    assert ended.error is JumpHostProtocolError
    assert ended.text == "it sent data on a connection that has no destination"


def test_a_server_must_not_speak_right_behind_the_verdict() -> None:
    ended = run(ClientHandshake(SECRET), [frame(CHALLENGE) + b"\0\0"])
    assert ended.error is JumpHostProtocolError


def test_a_parked_connection_can_be_closed_by_the_server() -> None:
    ended = run(parked(), [b""])
    assert ended.error is JumpHostProtocolError
    assert ended.text == "it closed a parked connection"


def test_a_parked_connection_may_be_closed_just_after_the_destination() -> None:
    handshake = parked()
    handshake.request(TARGET)
    ended = run(handshake, [b""])
    assert ended.error is JumpHostProtocolError
    assert ended.text == "it closed the connection without an outcome"


@pytest.mark.parametrize("status", [1, 2, 127, 128, 255])
def test_every_verdict_but_0_is_a_wrong_secret(status: int) -> None:
    refusal = bytes((status,)) + text_frame("challenge failed, check secret")
    ended = feed_all_splits(requesting, frame(CHALLENGE) + refusal)
    assert ended.error is WrongSecret
    assert ended.text == "challenge failed, check secret"


@pytest.mark.parametrize("status", [1, 2, 127, 128, 255])
def test_every_outcome_but_0_is_a_failed_dial(status: int) -> None:
    refusal = bytes((status,)) + text_frame(REFUSED)
    ended = feed_all_splits(requesting, frame(CHALLENGE) + b"\0" + refusal)
    assert ended.error is TargetRefused
    assert ended.text == REFUSED


@pytest.mark.parametrize("missing", [[b""], [b"\0"], [b"\5", b""], [b"\0", b""]])
@pytest.mark.parametrize(
    ("said", "kind"), [(frame(CHALLENGE), WrongSecret), (frame(CHALLENGE) + b"\0", TargetError)]
)
def test_missing_text_is_no_reason_given(
    missing: list[bytes], said: bytes, kind: type[NetjumperError]
) -> None:
    ended = run(requesting(), [said + b"\1", *missing])
    assert ended.error is kind
    assert ended.text == "no reason given"


@pytest.mark.parametrize(
    ("said", "kind"), [(frame(CHALLENGE), WrongSecret), (frame(CHALLENGE) + b"\0", TargetError)]
)
def test_text_before_the_end_is_reported(said: bytes, kind: type[NetjumperError]) -> None:
    ended = run(requesting(), [said + b"\1\x30half a sen", b""])
    assert ended.error is kind
    assert ended.text == "half a sen"


def test_text_that_is_not_utf8_is_shown_with_replacements() -> None:
    ended = run(requesting(), [frame(CHALLENGE) + b"\0\1\3a\xffb"])
    assert ended.error is TargetError
    assert ended.text == "a\ufffdb"


@pytest.mark.parametrize("step", [b"", b"\0"], ids=["verdict", "outcome"])
def test_control_characters_of_a_reason_are_escaped(step: bytes) -> None:
    ended = run(requesting(), [frame(CHALLENGE) + step + b"\1\x0a\x1b[2J\r\n\xe2\x80\xaex"])
    assert ended.text == "\\x1b[2J\\r\\n\\u202ex"


def test_error_of_an_early_end_names_the_step() -> None:
    ends = end_after_each_byte(requesting, frame(CHALLENGE) + b"\0\0")
    assert {end.error for end in ends} == {JumpHostProtocolError}
    texts = [end.text.removeprefix("it closed the connection without ") for end in ends]
    assert texts == ["a challenge"] * 33 + ["a verdict", "an outcome"]


def test_client_that_reads_wanted_bytes_stops_at_the_outcome() -> None:
    handshake = requesting()
    stream = bytearray(frame(CHALLENGE) + b"\0\0" + TRAILING)
    while handshake.result is None:
        wanted = handshake.wanted
        handshake.receive_data(bytes(stream[:wanted]))
        del stream[:wanted]
    assert bytes(stream) == TRAILING
    assert handshake.trailing_data() == b""


# --- the server -----------------------------------------------------------------------------
