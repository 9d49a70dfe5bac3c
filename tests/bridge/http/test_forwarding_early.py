"""Forwarding, sans-I/O: bytes for a target that is not reached yet."""

from collections.abc import Callable

import pytest

from netjumper.addressing.address import Address
from netjumper.bridge.http.exchange import Exchange
from netjumper.bridge.http.forwarding import ConnectionEnd, Forwarding
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.errors import TargetRefused

POST = b"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def forwarding(first: bytes) -> tuple[Forwarding, list[Exchange]]:
    handshake = HttpHandshake()
    handshake.receive_data(first)
    assert isinstance(handshake.result, AuthorizedRequest)
    done: list[Exchange] = []
    return Forwarding(handshake.result, name=b"b", clock=lambda: 0.0, done=done.append), done


def test_head_and_body_are_queued_before_the_target_is_reached() -> None:
    it, _ = forwarding(POST + b"Content-Length: 5\r\n\r\nhe")
    assert it.target_to_open == Address("a.example", 80)
    assert it.data_to_target().endswith(b"\r\n\r\nhe")
    it.receive_from_client(b"llo")
    assert it.data_to_target() == b"llo"
    it.target_opened()
    assert it.target_to_open is None
    assert it.data_to_target() == b""
    it.receive_from_target(OK)
    assert it.data_to_client().endswith(b"\r\n\r\nok")


def test_next_request_uses_the_same_connection() -> None:
    it, done = forwarding(GET)
    it.target_opened()
    it.data_to_target()
    it.receive_from_target(OK)
    it.receive_from_client(GET)
    assert it.target_to_open is None
    assert it.data_to_target().startswith(b"GET / HTTP/1.1\r\n")
    it.receive_from_target(OK)
    assert [exchange.status for exchange in done] == [200, 200]


def test_target_that_fails_after_early_data_is_a_502() -> None:
    it, _ = forwarding(GET)
    it.target_failed(TargetRefused("connection refused"))
    assert it.data_to_client().startswith(b"HTTP/1.1 502 ")
    assert it.data_to_target() == b""
    assert it.target_to_open is None
    assert it.connection_end is ConnectionEnd.CLOSE


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda it: it.receive_from_client(b"no chunk\r\n"), id="bad body"),
        pytest.param(lambda it: it.receive_from_client(b""), id="client ends in its body"),
        pytest.param(lambda it: it.client_lost("reset"), id="client lost"),
        pytest.param(lambda it: it.expire(), id="idle timeout"),
    ],
)
def test_connection_for_a_finished_request_is_dropped(
    end: Callable[[Forwarding], object],
) -> None:
    it, done = forwarding(CHUNKED)
    end(it)
    assert it.must_close_target
    assert it.target_to_open is None
    assert it.data_to_target() == b""
    assert len(done) == 1
