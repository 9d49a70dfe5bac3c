"""Requests that are forwarded, rejected, or answered by the bridge itself."""

import re

import pytest

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.forwarding import ConnectionEnd
from netjumper.protocol.handshake import TunnelRequest
from tests.support.forwarding import OK, OK_BACK, VIA, Talk, get


def forwarded(request: bytes) -> bytes:
    """Return the bytes that the target receives for a request."""
    return Talk(request).open().to_target


# --- forwarded requests -------------------------------------------------------------------


def test_a_request_is_sent_to_the_target_in_origin_form_with_the_targets_host() -> None:
    talk = Talk(get(b"/path?q=1", b"X-First: 1", b"x-SECOND: 2"))
    assert talk.it.target_to_open == Address("a.example", 80)
    assert talk.open().to_target == (
        b"GET /path?q=1 HTTP/1.1\r\nHost: a.example\r\nX-First: 1\r\nx-SECOND: 2\r\n"
        + VIA
        + b"\r\n"
    )


@pytest.mark.parametrize(
    ("url", "target", "line", "host"),
    [
        (b"http://a", ("a", 80), b"GET / ", b"a"),
        (b"http://a:/", ("a", 80), b"GET / ", b"a"),
        (b"HTTP://a:8080/x", ("a", 8080), b"GET /x ", b"a:8080"),
        (b"http://a?q", ("a", 80), b"GET /?q ", b"a"),
        (b"http://[::1]:81/", ("::1", 81), b"GET / ", b"[::1]:81"),
        (b"http://[::1]/", ("::1", 80), b"GET / ", b"[::1]"),
        (b"ws://a/chat", ("a", 80), b"GET /chat ", b"a"),
    ],
)
def test_url_gives_target_request_line_and_host(
    url: bytes, target: tuple[str, int], line: bytes, host: bytes
) -> None:
    talk = Talk(b"GET " + url + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert talk.it.target_to_open == Address(*target)
    assert talk.open().to_target.startswith(line + b"HTTP/1.1\r\nHost: " + host + b"\r\n")


def test_options_without_a_path_becomes_asterisk_form() -> None:
    assert forwarded(get(b"", method=b"OPTIONS")).startswith(b"OPTIONS * HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "field",
    [
        b"Connection: close",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authorization: Basic YTpi",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers",
        b"Upgrade: websocket",
    ],
)
def test_hop_by_hop_fields_are_dropped(field: bytes) -> None:
    assert field.split(b":")[0].lower() not in forwarded(get(b"/", field, b"X: 1")).lower()


def test_fields_named_by_connection_are_dropped() -> None:
    assert b"secret" not in forwarded(get(b"/", b"Connection: X-Hop, close", b"X-Hop: secret"))


def test_connection_cannot_remove_framing_or_routing_fields() -> None:
    request = get(b"/", b"Connection: Host, Content-Length", b"Content-Length: 0", method=b"POST")
    assert b"Host: a.example" in forwarded(request)
    assert b"Content-Length: 0" in forwarded(request)


def test_own_via_is_appended_to_existing_ones() -> None:
    fields = forwarded(get(b"/", b"Via: 1.1 other")).split(b"\r\n")
    assert fields.index(b"Via: 1.1 other") < fields.index(b"Via: 1.1 bridge-1")


def test_body_of_known_length_is_streamed() -> None:
    talk = Talk(get(b"/", b"Content-Length: 10", method=b"PUT") + b"01234").open()
    assert talk.to_target.endswith(b"\r\n\r\n01234")
    assert talk.client(b"56789").to_target == b"56789"


def test_chunked_body_stays_chunked_with_its_trailers() -> None:
    body = b"5\r\nhello\r\n0\r\nX-Sum: 7\r\nConnection: x\r\n\r\n"
    received = forwarded(get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + body)
    assert b"Transfer-Encoding: chunked\r\n" in received
    assert received.endswith(b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n")


def test_framing_and_routing_fields_in_trailers_are_dropped() -> None:
    end = b"0\r\nX: kept\r\nHost: evil\r\nContent-Length: 7\r\n\r\n"
    received = forwarded(get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + end)
    assert received.endswith(b"0\r\nX: kept\r\n\r\n")


def test_upgrade_of_an_http_1_0_client_is_dropped() -> None:
    request = b"GET http://a/ HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert b"pgrade" not in forwarded(request)


def test_expect_100_continue_and_its_answer_are_forwarded() -> None:
    talk = Talk(get(b"/", b"Expect: 100-continue", b"Content-Length: 2", method=b"PUT")).open()
    assert b"Expect: 100-continue" in talk.to_target
    assert talk.target(b"HTTP/1.1 100 Continue\r\n\r\n").to_client.startswith(b"HTTP/1.1 100 ")
    assert talk.client(b"hi").to_target == b"hi"
    assert talk.target(OK).to_client == OK_BACK


def test_http_1_0_client_gets_no_informational_answer_chunks_or_trailers() -> None:
    talk = Talk(b"GET http://a/ HTTP/1.0\r\n\r\n").open()
    talk.target(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    talk.target(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    received = talk.to_client
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"chunked" not in received
    assert received.endswith(b"\r\n\r\nok")
    assert talk.it.connection_end is ConnectionEnd.CLOSE


@pytest.mark.parametrize(("method", "left"), [(b"OPTIONS", b"4"), (b"TRACE", b"4"), (b"GET", b"5")])
def test_max_forwards_is_decremented(method: bytes, left: bytes) -> None:
    received = forwarded(get(b"/", b"Max-Forwards: 5", method=method))
    assert b"Max-Forwards: " + left in received


# --- rejected requests --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"not a web server"),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"not a web server"),
        (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"Only http://"),
        (b"GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"Only http://"),
        (b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"Only http://"),
        (b"GET wss://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"Only http://"),
        (get(host=b"us\\er:pw@a"), 400, b"user name or password"),
        (get(host=b"a:99999"), 400, b"'99999'"),
        (get(host=b"a..b"), 400, b"not a host name"),
        (get(host=b""), 400, b"not a host name"),
        (get(b"/", b"Via: 1.0 other, 1.1 bridge-1"), 502, b"proxy_loop_detected"),
        (b"GET / HTTP/1.1\r\nHost: us\r\n" + VIA + b"\r\n", 502, b"proxy_loop_detected"),
    ],
)
def test_rejected_request_is_answered_without_a_dial(
    request_: bytes, status: int, words: bytes
) -> None:
    talk = Talk(request_)
    received = talk.to_client
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert words in received
    assert b"pw" not in received
    assert talk.it.target_to_open is None
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    (refused,) = talk.done
    assert refused.target is None
    assert re.fullmatch(rf"[A-Z]+ {status}: Refused: .{{10,70}}", refused.ending)


@pytest.mark.parametrize("left", [b"0", b"00"])
def test_trace_without_hops_left_is_answered_without_credentials(left: bytes) -> None:
    shown = [b"X-Is: shown", b"Max-Forwards: " + left]
    hidden = [b"Cookie: x=s3cret", b"Authorization: Basic s3cret", b"proxy-authorization: s3cret"]
    talk = Talk(get(b"/p", *shown, *hidden, method=b"TRACE"))
    head, _, content = talk.to_client.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: message/http\r\n")
    assert content == get(b"/p", *shown, method=b"TRACE")
    assert [it.ending for it in talk.done] == ["TRACE 200"]


def test_options_asterisk_is_answered_after_other_requests() -> None:
    talk = Talk(get()).open().target(OK).client(b"OPTIONS * HTTP/1.1\r\nHost: us\r\n\r\n")
    assert b"HTTP/1.1 200 OK\r\nContent-Type: text/plain" in talk.to_client
    assert talk.done[1].ending == "OPTIONS 200"


def test_options_without_hops_left_is_answered_by_the_bridge() -> None:
    talk = Talk(get(b"/", b"Max-Forwards: 0", method=b"OPTIONS"))
    assert talk.to_client.startswith(b"HTTP/1.1 200 ")


def test_invalid_later_request_ends_the_connection() -> None:
    talk = Talk(get()).open().target(OK)
    assert talk.client(b"\x17\x03\x01\r\n\r\n").to_client.startswith(OK_BACK + b"HTTP/1.1 400 ")
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    assert talk.done[1].ending == "ProtocolError: not a valid HTTP request: illegal request line"


def test_later_request_without_credentials_gets_407_and_can_be_repeated() -> None:
    right = b"Proxy-Authorization: Basic YW5uOnB3"
    talk = Talk(get(b"/", right), Credentials({"ann": "pw"})).open().target(OK)
    assert talk.to_client == OK_BACK
    assert talk.client(get()).to_client.startswith(b"HTTP/1.1 407 ")
    talk.client(get(b"/again", right)).target(OK)
    assert talk.to_client == OK_BACK
    assert [(it.ending, it.client) for it in talk.done] == [
        ("GET 200", "ann"),
        ("GET 407: CredentialsMissing: no proxy credentials were given", ""),
        ("GET 200", "ann"),
    ]


def connect(to: bytes = b"b.example:1", *fields: bytes) -> bytes:
    return b"\r\n".join([b"CONNECT " + to + b" HTTP/1.1", b"Host: b", *fields, b"", b""])


def test_connect_after_other_requests_becomes_a_tunnel() -> None:
    talk = Talk(get()).open().target(OK).client(connect() + b"early").client(b"bird")
    assert talk.to_client == OK_BACK
    assert talk.it.connection_end is ConnectionEnd.TUNNEL
    handshake = talk.it.tunnel()
    assert handshake.result == TunnelRequest(Address("b.example", 1))
    assert handshake.data_to_send() == b""
    assert handshake.trailing_data() == b"earlybird"
    handshake.accept()
    assert handshake.data_to_send().startswith(b"HTTP/1.1 200 Connection established\r\n")


def test_connect_after_other_requests_requires_credentials() -> None:
    right = b"Proxy-Authorization: Basic YW5uOnB3"
    talk = Talk(get(b"/", right), Credentials({"ann": "pw"})).open().target(OK).client(connect())
    assert b"HTTP/1.1 407 " in talk.to_client
    talk.client(connect(b"b.example:1", right))
    assert talk.it.tunnel().result == TunnelRequest(Address("b.example", 1), "ann")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (connect(b"b.example"), "port"),
        (connect(b"http://b.example:1/"), "http://b.example:1/"),
        (connect(b"b.example:1", b"Content-Length: 1"), "no body"),
    ],
)
def test_invalid_later_connect_is_rejected(wrong: bytes, words: str) -> None:
    talk = Talk(get()).open().target(OK).client(wrong)
    assert b"HTTP/1.1 400 " in talk.to_client
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    assert talk.done[1].ending.startswith("CONNECT 400: Refused: ")
    assert words in talk.done[1].ending
