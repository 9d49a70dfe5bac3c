"""Requests that the HTTP handshake rejects, and the answers to failures."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.bridge.replies import BRIDGE, JUMP_SERVER
from netjumper.errors import (
    AddressError,
    CredentialsMissing,
    HandshakeTimeout,
    HostUnreachable,
    JumpHostProtocolError,
    JumpHostTimeout,
    JumpHostUnreachable,
    NameLookupFailed,
    NameNotFound,
    NetjumperError,
    NetworkUnreachable,
    ProtocolError,
    TargetDenied,
    TargetError,
    TargetRefused,
    TargetTimeout,
    WrongSecret,
)
from netjumper.protocol.handshake import TunnelRequest
from tests.support.byte_splits import (
    all_splits,
    feed_all_splits,
    run,
)
from tests.support.http_handshake import (
    RIGHT,
    TARGET,
    Answer,
    answer,
    answers,
    assert_is_a_line,
    connect,
    guarded,
)


def answer_after(decide: Callable[[HttpHandshake], None], head: bytes = b"") -> Answer:
    """Return the answer to a request after `decide` was called."""
    handshake = HttpHandshake()
    assert run(handshake, [head or connect()]).result is not None
    decide(handshake)
    return answer(handshake.data_to_send())


# --- rejected requests ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "example.org",
        "example.org:",
        "example.org:0",
        "example.org:65536",
        "example.org:http",
        "example.org:+80",
        "example.org:-1",
        ":443",
        "/",
        "*",
        "http://example.org:80",
        "http://example.org:80/",
        "example.org:80/",
        "user@example.org:80",
        "::1:443",
        "[::1]",
        "[::g]:443",
        "[fe80::1%25\\]:443",
        "a..b:80",
        "a%00b:80",
        "a" * 64 + ":80",
        "a." * 127 + "a:80",
    ],
)
def test_invalid_target_is_a_bad_request(target: str) -> None:
    ended = feed_all_splits(HttpHandshake, connect(target))
    assert ended.error is AddressError
    refused = answer(ended.sent)
    assert (refused.status, refused.reason) == (400, "Bad Request")
    assert refused.fields["connection"] == "close"
    ((hop, parameters),) = refused.proxy_status
    assert (hop, parameters["error"]) == (BRIDGE, "http_request_error")
    assert parameters["details"] == ended.text
    assert_is_a_line(refused.body)


@pytest.mark.parametrize(
    "head",
    [
        b"CONNECT example.org:443\r\n\r\n",
        b"CONNECT  HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: a, b\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"CONNECT b\xc3\xbccher.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a\0b:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\ncontent-LENGTH: 2\r\n\r\nok",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nok",
        b"G\xffT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
def test_invalid_request_is_a_bad_request(head: bytes) -> None:
    ended = feed_all_splits(HttpHandshake, head)
    assert ended.error is ProtocolError
    refused = answer(ended.sent)
    assert refused.status == 400
    assert refused.fields["connection"] == "close"
    assert refused.proxy_status == [(BRIDGE, {"error": "http_request_error"})]
    assert_is_a_line(refused.body)


@pytest.mark.parametrize("hello", [b"\x00\x00\x00\x2c", b"\x06\x01\x00", b"\x01\x01\x00"])
def test_another_protocol_is_rejected_by_its_first_byte(hello: bytes) -> None:
    ended = feed_all_splits(HttpHandshake, hello)
    assert ended.error is ProtocolError
    assert ended.text == "not a valid HTTP request: illegal request line"
    assert answer(ended.sent).status == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PRI", "connect", "X" * 99])
def test_other_method_is_passed_on_unchanged(method: str) -> None:
    head = f"{method} http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n".encode()
    for pieces in all_splits(head):
        ended = run(HttpHandshake(), pieces)
        assert isinstance(ended.result, AuthorizedRequest)
        assert ended.result.request.method == method.encode()
        assert ended.sent == b""


def test_raw_bytes_in_a_url_are_percent_encoded() -> None:
    head = "GET http://a/ü?q=ß HTTP/1.1\r\nHost: a\r\nX: ü\r\n\r\n".encode()
    for pieces in all_splits(head):
        ended = run(HttpHandshake(), pieces)
        assert isinstance(ended.result, AuthorizedRequest)
        assert ended.result.request.target == b"http://a/%C3%BC?q=%C3%9F"
        assert (b"x", "ü".encode()) in list(ended.result.request.headers)


@pytest.mark.parametrize("version", ["2.0", "0.9", "3.1"])
def test_other_http_version_is_rejected(version: str) -> None:
    ended = feed_all_splits(HttpHandshake, connect("a:1", version=version))
    assert ended.error is ProtocolError
    assert answer(ended.sent).status == 505


def test_password_in_a_target_is_not_quoted() -> None:
    for target in ("user:s3cret@example.org:443", "https://user:s3cret@example.org/"):
        ended = feed_all_splits(HttpHandshake, connect(target))
        assert ended.error is AddressError
        assert answer(ended.sent).status == 400
        assert b"s3cret" not in ended.sent
        assert "s3cret" not in ended.text


def test_empty_lines_before_a_request_are_skipped() -> None:
    """RFC 9112 section 2.2."""
    ended = feed_all_splits(HttpHandshake, b"\r\n\n\r\n" + connect("example.org:443"))
    assert ended.result == TunnelRequest(TARGET)


@pytest.mark.parametrize("before", [b"", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"])
@pytest.mark.parametrize("bare", [b"\r", b"\r\r\n", b"\r\n\r"])
def test_bare_cr_before_a_request_is_not_an_empty_line(before: bytes, bare: bytes) -> None:
    """RFC 9112 section 2.2: another parser may take it for a part of the method."""
    ended = feed_all_splits(HttpHandshake, before + bare + connect("example.org:443"))
    assert ended.error is ProtocolError
    assert ended.sent.count(b"HTTP/1.1 400 ") == 1


def test_other_method_requires_credentials() -> None:
    head = b"GET http://a/ HTTP/1.1\r\nHost: a\r\n"
    right = head + RIGHT.encode() + b"\r\n\r\n"
    ended = run(guarded(), [head + b"\r\n", right])
    assert [response.status for response in answers(ended.sent)] == [407]
    assert isinstance(ended.result, AuthorizedRequest)
    assert ended.result.client == "alice"


def test_unauthenticated_request_with_a_body_is_closed_after_407() -> None:
    head = b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    ended = run(guarded(), [head])
    assert ended.error is CredentialsMissing
    assert answer(ended.sent).fields["connection"] == "close"


@pytest.mark.parametrize(
    "line", ["X: a\r\n b", "X: a\r\n\tb", "X: a\rb"], ids=["folded", "folded by a tab", "bare CR"]
)
def test_ambiguous_head_is_a_bad_request(line: str) -> None:
    for pieces in all_splits(connect("example.org:443", line)):
        ended = run(HttpHandshake(), pieces)
        assert ended.error is ProtocolError
        assert answer(ended.sent).status == 400


def test_content_length_beside_a_transfer_coding_is_a_bad_request() -> None:
    head = b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
    ended = run(HttpHandshake(), [head + b"\r\n\r\n"])
    assert ended.error is ProtocolError
    assert answer(ended.sent).status == 400


@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_connect_with_a_body_is_a_bad_request(field: str) -> None:
    ended = feed_all_splits(HttpHandshake, connect("example.org:443", field))
    assert ended.error is ProtocolError
    refused = answer(ended.sent)
    assert refused.status == 400
    assert refused.body == "A CONNECT request carries no body\n"


def test_unknown_transfer_coding_is_not_implemented() -> None:
    ended = feed_all_splits(HttpHandshake, connect("example.org:443", "Transfer-Encoding: gzip"))
    assert ended.error is ProtocolError
    assert answer(ended.sent).status == 501


# --- failures of the jump host and the target -----------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "hop", "kind"),
    [
        (TargetRefused, 502, JUMP_SERVER, "connection_refused"),
        (TargetTimeout, 504, JUMP_SERVER, "connection_timeout"),
        (NetworkUnreachable, 502, JUMP_SERVER, "destination_ip_unroutable"),
        (HostUnreachable, 502, JUMP_SERVER, "destination_unavailable"),
        (NameNotFound, 502, JUMP_SERVER, "dns_error"),
        (NameLookupFailed, 502, JUMP_SERVER, "dns_error"),
        (TargetDenied, 403, JUMP_SERVER, "destination_ip_prohibited"),
        (TargetError, 502, JUMP_SERVER, "destination_unavailable"),
        (WrongSecret, 503, BRIDGE, "proxy_configuration_error"),
        (JumpHostUnreachable, 503, BRIDGE, "destination_unavailable"),
        (JumpHostTimeout, 504, BRIDGE, "connection_timeout"),
        (JumpHostProtocolError, 502, BRIDGE, "connection_terminated"),
        (AddressError, 400, BRIDGE, "http_request_error"),
        (HandshakeTimeout, 502, BRIDGE, "proxy_internal_error"),
    ],
)
def test_failure_is_reported_with_its_hop_and_reason(
    error: type[NetjumperError], status: int, hop: str, kind: str
) -> None:
    response = answer_after(lambda handshake: handshake.reject(error("what happened")))
    assert response.status == status
    assert response.fields["connection"] == "close"
    assert response.fields["content-type"] == "text/plain; charset=utf-8"
    hops = response.proxy_status
    assert hops[0] == (hop, {"error": kind, "details": "what happened"})
    assert [name for name, _ in hops[1:]] == ([BRIDGE] if hop == JUMP_SERVER else [])
    assert_is_a_line(response.body)
    assert response.body.endswith(" example.org:443: what happened\n")


@pytest.mark.parametrize(
    ("text", "details", "in_body"),
    [
        ('say "no"', 'say "no"', 'say "no"'),
        ("back\\slash\\", "back\\slash\\", "back\\slash\\"),
        ('\\"', '\\"', '\\"'),
        ("a\r\nSet-Cookie: x", "a??Set-Cookie: x", "a??Set-Cookie: x"),
        ("nul\0bell\x07\x7f", "nul?bell??", "nul?bell??"),
        ("bücher 🚀", "b?cher ?", "bücher 🚀"),
        ("line\u2028separator", "line?separator", "line?separator"),
        ("half\udc80", "half?", "half?"),
        ("", "", ""),
    ],
)
def test_error_text_cannot_leave_its_field_or_line(text: str, details: str, in_body: str) -> None:
    response = answer_after(lambda handshake: handshake.reject(TargetError(text)))
    assert response.proxy_status[0][1]["details"] == details
    assert response.body.endswith(f": {in_body}\n")
    assert "set-cookie" not in response.fields


@given(st.text(max_size=300))
def test_any_error_text_can_be_reported(text: str) -> None:
    response = answer_after(lambda handshake: handshake.reject(TargetError(text)))
    assert response.status == 502
    assert [hop for hop, _ in response.proxy_status] == [JUMP_SERVER, BRIDGE]
    assert response.body.count("\n") == 1


def test_failure_is_reported_to_an_http_1_0_client() -> None:
    head = connect(version="1.0")
    assert answer_after(lambda handshake: handshake.reject(TargetRefused("no")), head).status == 502


def test_reason_phrase_of_a_failed_connect_says_what_failed() -> None:
    """Many programs show nothing else of the answer."""
    error = TargetRefused("dial tcp 192.0.2.1:9: connect: \u00fc\r\nrefused " + "x" * 300)
    handshake = HttpHandshake()
    assert run(handshake, [connect()]).result is not None
    handshake.reject(error)
    line, _, _ = handshake.data_to_send().partition(b"\r\n")
    assert line.startswith(b"HTTP/1.1 502 ")
    assert b"192.0.2.1:9: connect: ?" in line
    assert line.isascii()
    assert len(line) <= 260


def test_reason_phrase_of_a_denied_connect_says_so() -> None:
    handshake = HttpHandshake()
    assert run(handshake, [connect()]).result is not None
    handshake.reject(TargetDenied("not permitted"))
    assert handshake.data_to_send().partition(b"\r\n")[0].endswith(b": not permitted")
