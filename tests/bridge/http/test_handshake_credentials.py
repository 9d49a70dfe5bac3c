"""Proxy authentication in the HTTP handshake, and pings."""

import base64
import re
from collections.abc import Callable

import pytest

from netjumper.bridge.http.handshake import HttpHandshake
from netjumper.errors import (
    AuthenticationError,
    CredentialsMissing,
    ProtocolError,
)
from netjumper.protocol.handshake import EndOfStream, TunnelRequest
from tests.support.byte_splits import (
    feed_all_splits,
    run,
)
from tests.support.http_handshake import (
    RIGHT,
    TARGET,
    answer,
    answers,
    assert_is_a_line,
    basic,
    connect,
    guarded,
)


def test_correct_password_is_accepted() -> None:
    ended = feed_all_splits(guarded, connect("example.org:443", RIGHT))
    assert ended.result == TunnelRequest(TARGET, "alice")
    assert ended.sent == b""


def test_unchecked_user_name_is_not_reported() -> None:
    ended = feed_all_splits(HttpHandshake, connect("example.org:443", basic("bob", "x")))
    assert ended.result == TunnelRequest(TARGET, "")


@pytest.mark.parametrize("token", ["Ym9i", "Ym9i!", ""], ids=["no colon", "no base64", "empty"])
def test_invalid_authorization_field_gives_no_user_name(token: str) -> None:
    head = connect("example.org:443", f"Proxy-Authorization: Basic {token}")
    assert run(HttpHandshake(), [head]).result == TunnelRequest(TARGET)


@pytest.mark.parametrize("field", [RIGHT.replace("Basic", "bASIC"), RIGHT.replace("c ", "c   ")])
def test_auth_scheme_ignores_case_and_extra_spaces(field: str) -> None:
    assert run(guarded(), [connect("example.org:443", field)]).result is not None


MISSING = {
    "nothing": [],
    "scheme": [basic("alice", "open:sesame", scheme="Bearer")],
    "no scheme": [RIGHT.replace("Basic ", "")],
    "no colon": [f"Proxy-Authorization: Basic {base64.b64encode(b'alice').decode()}"],
    "no base64": ["Proxy-Authorization: Basic al!ce"],
    "more than base64": [RIGHT.replace("Basic Y", "Basic Y!")],
    "cut base64": ["Proxy-Authorization: Basic YWxpY2U6b"],
    "empty": ["Proxy-Authorization:"],
    "bytes over 127": ["Proxy-Authorization: Basic é"],
    "given twice": [RIGHT, RIGHT],
    "meant for the target": [RIGHT.removeprefix("Proxy-")],
}


WRONG = {
    "user": basic("bob", "open:sesame"),
    "password": basic("alice", "sesame"),
    "no password": basic("alice", ""),
}


@pytest.mark.parametrize("fields", MISSING.values(), ids=MISSING)
def test_missing_credentials_get_407_and_the_retry_is_accepted(fields: list[str]) -> None:
    stream = connect("wrong.example:1", *fields) + connect("example.org:443", RIGHT)
    ended = feed_all_splits(guarded, stream)
    assert ended.result == TunnelRequest(TARGET, "alice")
    response = answer(ended.sent)
    assert (response.status, response.reason) == (407, "Proxy Authentication Required")
    challenge = response.fields["proxy-authenticate"]
    assert re.fullmatch(r'Basic realm="[^"]+", charset="UTF-8"', challenge)
    assert "connection" not in response.fields
    assert_is_a_line(response.body)


def test_407_is_sent_before_the_retry() -> None:
    handshake = guarded()
    ended = run(handshake, [connect()])
    assert answer(ended.sent).status == 407
    assert ended.result is None
    assert run(handshake, [connect("example.org:443", RIGHT)]).result is not None


@pytest.mark.parametrize("field", WRONG.values(), ids=WRONG)
def test_wrong_credentials_end_the_connection(field: str) -> None:
    """Each guess takes a connection, which can be delayed, and its source banned."""
    stream = connect("example.org:443", field) + connect("example.org:443", RIGHT)
    ended = run(guarded(), [stream])
    (response,) = answers(ended.sent)
    assert response.status == 407
    assert response.fields["connection"] == "close"
    assert ended.error is AuthenticationError
    assert ended.text == "wrong proxy credentials"


def test_requests_without_credentials_can_be_repeated() -> None:
    ended = feed_all_splits(guarded, connect() * 4 + connect("example.org:443", RIGHT))
    assert [response.status for response in answers(ended.sent)] == [407] * 4
    assert ended.result == TunnelRequest(TARGET, "alice")


@pytest.mark.parametrize("head", [connect(version="1.0"), connect("a:1", "Connection: close")])
def test_client_that_cannot_retry_gets_407_and_is_closed(head: bytes) -> None:
    ended = feed_all_splits(guarded, head)
    assert ended.error is CredentialsMissing
    response = answer(ended.sent)
    assert response.status == 407
    assert response.fields["connection"] == "close"


PING = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("make", [HttpHandshake, guarded])
def test_ping_is_answered_without_a_password_and_a_request_may_follow(
    make: Callable[[], HttpHandshake],
) -> None:
    ended = feed_all_splits(make, PING * 2 + connect("example.org:443", RIGHT))
    assert ended.sent.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert isinstance(ended.result, TunnelRequest)


@pytest.mark.parametrize("make", [HttpHandshake, guarded])
def test_client_that_only_pings_has_requested_nothing(make: Callable[[], HttpHandshake]) -> None:
    handshake = make()
    handshake.receive_data(PING)
    assert not handshake.has_request
    handshake.receive_data(PING + b"C")
    assert handshake.has_request


def test_ping_does_not_hide_missing_credentials() -> None:
    handshake = guarded()
    handshake.receive_data(connect("a:1") + PING)
    assert handshake.has_request
    ended = run(handshake, [b""])
    assert ended.error is CredentialsMissing


@pytest.mark.parametrize(
    "head", [b"OPTIONS * HTTP/1.0\r\n\r\n", PING[:-2] + b"Connection: close\r\n\r\n"]
)
@pytest.mark.parametrize("more", [[b""], [b"x"], []])
def test_ping_with_connection_close_is_the_last_request(head: bytes, more: list[bytes]) -> None:
    pieces = [head, *more] if more else [head + b"what comes with it"]
    ended = run(HttpHandshake(), pieces)
    assert ended.error is EndOfStream
    assert ended.sent.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nConnection: close\r\n" in ended.sent


def test_options_with_a_body_is_not_a_ping() -> None:
    ended = run(guarded(), [PING[:-2] + b"Content-Length: 1\r\n\r\nx"])
    assert answer(ended.sent).status == 407


def test_wrong_password_is_not_quoted() -> None:
    head = connect("example.org:443", basic("alice", "guess"), version="1.0")
    ended = run(guarded(), [head])
    assert "guess" not in ended.text + ended.sent.decode()


@pytest.mark.parametrize("broken", [" : Basic {}", ": Basic {}\0"])
def test_password_in_an_invalid_line_is_not_quoted(broken: str) -> None:
    token = base64.b64encode(b"alice:open:sesame").decode()
    ended = feed_all_splits(guarded, connect("a:1", "Proxy-Authorization" + broken.format(token)))
    assert ended.error is ProtocolError
    assert answer(ended.sent).status == 400
    assert token not in ended.text + ended.sent.decode()


def test_answer_to_wrong_credentials_differs_from_that_to_none() -> None:
    sent = run(guarded(), [connect("a:1"), connect("a:1", basic("alice", "x"))]).sent
    texts = [str(response) for response in answers(sent)]
    assert [("is wrong" in text, "requires a" in text) for text in texts] == [
        (False, True),
        (True, False),
    ]
