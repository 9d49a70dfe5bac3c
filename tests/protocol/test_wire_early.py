"""The netjumper protocol: early data, and who is parked."""

import pytest

from netjumper.errors import AuthenticationError
from netjumper.protocol.handshake import TunnelRequest
from netjumper.protocol.wire import ClientHandshake, frame
from tests.support.wire_sides import ANSWER, CHALLENGE, DESTINATION, SECRET, TARGET, server

# --- the client ---------------------------------------------------------------------------


def test_before_the_challenge_early_data_waits_for_the_answer() -> None:
    client = ClientHandshake(SECRET)
    client.request(TARGET)
    client.send_early(b"fir")
    client.send_early(b"st")
    assert client.data_to_send() == b""
    client.receive_data(frame(CHALLENGE))
    assert client.data_to_send() == ANSWER + DESTINATION + b"first"


def test_between_answer_and_verdict_it_can_leave_at_once() -> None:
    client = ClientHandshake(SECRET)
    client.request(TARGET)
    client.receive_data(frame(CHALLENGE))
    assert client.data_to_send() == ANSWER + DESTINATION
    client.send_early(b"first")
    assert client.data_to_send() == b"first"


def test_a_destination_named_between_answer_and_verdict_leaves_with_it() -> None:
    client = ClientHandshake(SECRET)
    client.receive_data(frame(CHALLENGE))
    assert client.data_to_send() == ANSWER
    client.request(TARGET)
    client.send_early(b"first")
    assert client.data_to_send() == DESTINATION + b"first"
    client.receive_data(b"\0\0")
    assert client.result == TARGET


def test_on_a_parked_connection_it_leaves_with_the_destination() -> None:
    client = ClientHandshake(SECRET)
    client.receive_data(frame(CHALLENGE) + b"\0")
    assert client.authenticated
    client.data_to_send()
    client.request(TARGET)
    client.send_early(b"first")
    assert client.data_to_send() == DESTINATION + b"first"


def test_between_destination_and_outcome_it_can_leave_alone() -> None:
    client = ClientHandshake(SECRET)
    client.request(TARGET)
    client.receive_data(frame(CHALLENGE) + b"\0")
    client.data_to_send()
    client.send_early(b"first")
    assert client.data_to_send() == b"first"
    client.receive_data(b"\0")
    assert client.result == TARGET
    client.send_early(b"more")
    assert client.data_to_send() == b"more"


# --- the server ---------------------------------------------------------------------------


def test_a_client_is_parked_from_the_verdict_until_it_begins_to_name_a_target() -> None:
    handshake = server()
    assert not handshake.is_parked
    handshake.receive_data(ANSWER[:-1])
    assert not handshake.is_parked
    handshake.receive_data(ANSWER[-1:])
    assert handshake.is_parked
    handshake.receive_data(DESTINATION[:1])
    assert not handshake.is_parked
    handshake.receive_data(DESTINATION[1:])
    assert handshake.result == TunnelRequest(TARGET)
    assert not handshake.is_parked


@pytest.mark.parametrize("more", [DESTINATION[:1], DESTINATION, DESTINATION + b"first"])
def test_a_client_that_asks_with_its_answer_is_never_parked(more: bytes) -> None:
    handshake = server()
    handshake.receive_data(ANSWER + more)
    assert not handshake.is_parked


def test_a_client_that_is_not_let_in_is_not_parked() -> None:
    handshake = server()
    with pytest.raises(AuthenticationError):
        handshake.receive_data(frame(b"x" * 20))
    assert not handshake.is_parked


@pytest.mark.parametrize(("limit", "pieces"), [(3, [b"fir", b"st"]), (0, [b"", b""])])
def test_early_data_can_be_taken_piece_by_piece(limit: int, pieces: list[bytes]) -> None:
    handshake = server()
    handshake.receive_data(ANSWER + DESTINATION + b"first")
    assert handshake.trailing_size == 5
    assert [handshake.trailing_data(limit) for _ in range(2)] == pieces
    handshake.receive_data(b"!")
    assert handshake.trailing_data() == (b"first"[len(b"".join(pieces)) :] + b"!")
    assert handshake.trailing_size == 0
