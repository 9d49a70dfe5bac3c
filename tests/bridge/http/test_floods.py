"""Floods of tiny HTTP messages: each turn of the loop processes a limited number of events."""

import itertools
import socket

import pytest

from netjumper.bridge.http.forwarding import MAX_EVENTS_PER_TURN, MAX_TURN_S
from netjumper.bridge.http.handshake import MAX_UNSERVED_REQUESTS, HttpHandshake
from netjumper.errors import ProtocolError
from tests.bridge.http.test_handshake_credentials import PING, guarded
from tests.support.byte_splits import run
from tests.support.forwarded_requests import connected_to, receive_until, request
from tests.support.forwarding import OK, Talk, get
from tests.support.peers import send, serving

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\n\r\n"
MANY = 10 * MAX_EVENTS_PER_TURN


def turns(talk: Talk) -> int:
    """Advance until everything is processed; return how many turns that took."""
    count = 1
    while talk.it.has_more:
        talk.it.advance()
        count += 1
    return count


def test_answer_in_one_byte_chunks_is_forwarded_in_several_turns() -> None:
    talk = Talk(get()).open()
    talk.target(CHUNKED + b"1\r\nx\r\n" * MANY + b"0\r\n\r\n")
    assert talk.it.has_more
    assert talk.to_client.count(b"1\r\nx\r\n") < MAX_EVENTS_PER_TURN
    assert turns(talk) == MANY // MAX_EVENTS_PER_TURN + 1
    assert talk.done[0].bytes_down == MANY
    assert talk.to_client.endswith(b"0\r\n\r\n")


def test_request_in_one_byte_chunks_is_forwarded_in_several_turns() -> None:
    head = get(b"/", b"Transfer-Encoding: chunked", method=b"POST")
    talk = Talk(head).open()
    talk.client(b"1\r\nx\r\n" * MANY + b"0\r\n\r\n")
    assert talk.it.has_more
    assert turns(talk) > 5
    assert talk.to_target.count(b"1\r\nx\r\n") == MANY


def test_whole_answer_is_forwarded_in_one_turn() -> None:
    talk = Talk(get()).open().target(OK)
    assert not talk.it.has_more
    assert talk.to_client.endswith(b"ok")


def test_many_informational_answers_are_forwarded_in_several_turns() -> None:
    talk = Talk(get()).open().target(EARLY_HINTS * MANY + OK)
    assert turns(talk) > 5
    assert talk.to_client.count(b"HTTP/1.1 103 ") == MANY
    assert talk.done[0].error is None


def test_turn_ends_early_if_its_events_take_long() -> None:
    talk = Talk(get()).open()
    talk.it._clock = itertools.count(step=2 * MAX_TURN_S).__next__
    talk.target(EARLY_HINTS * 3 + OK)
    assert talk.to_client.count(b"HTTP/1.1 103 ") == 1
    assert turns(talk) == 7  # one for each event that is left, and an empty one
    assert talk.done[0].error is None


async def test_answer_in_one_byte_chunks_arrives_through_the_bridge(service):
    body = b"1\r\nx\r\n" * (20 * MANY) + b"0\r\n\r\n"

    async def answer(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, CHUNKED + body)

    async with serving(answer) as target:
        with await connected_to(service) as sock:
            await send(sock, request(target.address))
            received = await receive_until(sock, b"0\r\n\r\n")
    assert received.endswith(body)


@pytest.mark.parametrize("make", [HttpHandshake, guarded])
def test_flood_of_pings_ends_the_connection(make: type[HttpHandshake]) -> None:
    ended = run(make(), [PING * (2 * MAX_UNSERVED_REQUESTS)])
    assert ended.sent.count(b"HTTP/1.1 200 OK\r\n") == MAX_UNSERVED_REQUESTS
    assert ended.sent.count(b"HTTP/1.1 429 ") == 1
    assert ended.error is ProtocolError


def test_flood_of_requests_without_a_password_ends_the_connection() -> None:
    ended = run(guarded(), [get() * (2 * MAX_UNSERVED_REQUESTS)])
    assert ended.sent.count(b"HTTP/1.1 407 ") == MAX_UNSERVED_REQUESTS
    assert ended.sent.count(b"HTTP/1.1 429 ") == 1
    assert ended.error is ProtocolError
