"""HTTP CONNECT as a proxy server, fed in every way."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.bridge.http.messages import MAX_HEAD
from netjumper.bridge.replies import BRIDGE, JUMP_SERVER
from netjumper.errors import (
    AddressError,
    AuthenticationError,
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
from netjumper.protocol.handshake import EndOfStream, TunnelRequest
from tests.support.byte_splits import (
    FOLLOWING,
    end_everywhere,
    every_way,
    feed_every_way,
    run,
    taken_before_refusal,
)

CREDENTIALS = Credentials({"alice": "open:sesame"})
TARGET = Address("example.org", 443)


def guarded() -> HttpHandshake:
    return HttpHandshake(CREDENTIALS)


def connect(target: str = "example.org:443", *fields: str, version: str = "1.1") -> bytes:
    """Return a CONNECT request."""
    host = ["Host: example.org:443"] if version == "1.1" else []
    lines = [f"CONNECT {target} HTTP/{version}", *host, *fields, "", ""]
    return "\r\n".join(lines).encode()


def basic(user: str, password: str, scheme: str = "Basic") -> str:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Proxy-Authorization: {scheme} {token}"


RIGHT = basic("alice", "open:sesame")


@dataclass(frozen=True)
class Answer:
    """A response as a client reads it."""

    status: int
    reason: str
    fields: dict[str, str]
    body: str

    @property
    def proxy_status(self) -> list[tuple[str, dict[str, str]]]:
        """The `Proxy-Status` field: each hop with its parameters."""
        return parsed_proxy_status(self.fields["proxy-status"])


TOKEN = r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*"
PARAMETER = rf"; *([a-z*][a-z0-9_.*-]*)=({TOKEN}|\"(?:[ !#-\[\]-~]|\\[\"\\])*\")"
MEMBER = re.compile(rf"({TOKEN})((?:{PARAMETER})*)(?:, *|$)")


def parsed_proxy_status(field: str) -> list[tuple[str, dict[str, str]]]:
    """Read a list of tokens with parameters (RFC 8941 section 3.1, RFC 9209 section 2)."""
    members, at = [], 0
    while at < len(field):
        member = MEMBER.match(field, at)
        assert member, f"no structured field from here on: {field[at:]}"
        found = re.findall(PARAMETER, member[2])
        members.append((member[1], {name: unquoted(value) for name, value in found}))
        at = member.end()
    return members


def unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def answers(sent: bytes, method: str = "CONNECT") -> list[Answer]:
    """Read what a proxy answered to one request after the other, as h11 understands it."""
    found = []
    while sent:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="x:1", headers=[("Host", "x:1")]))
        client.send(h11.EndOfMessage())
        client.receive_data(sent)
        response, body = client.next_event(), b""
        assert isinstance(response, h11.Response)
        while response.status_code >= 300 and isinstance(part := client.next_event(), h11.Data):
            body += bytes(part.data)
        fields = {name.decode(): value.decode("ascii") for name, value in response.headers}
        found.append(Answer(response.status_code, response.reason.decode(), fields, body.decode()))
        sent = client.trailing_data[0]
    return found


def answer(sent: bytes, method: str = "CONNECT") -> Answer:
    (only,) = answers(sent, method)
    return only


def assert_is_a_line(body: str) -> None:
    assert body.endswith("\n")
    assert body[:-1].isprintable()
    assert len(body) > 20


def decided(decide: Callable[[HttpHandshake], None], head: bytes = b"") -> Answer:
    """Return the answer to a request when it has been decided."""
    handshake = HttpHandshake()
    assert run(handshake, [head or connect()]).result is not None
    decide(handshake)
    return answer(handshake.data_to_send())


# --- what is let through --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "target"),
    [
        (connect(), TARGET),
        (connect(version="1.0"), TARGET),
        (connect("[::1]:443"), Address("::1", 443)),
        (connect("192.0.2.1:80"), Address("192.0.2.1", 80)),
        (connect("xn--bcher-kva.example:80"), Address("xn--bcher-kva.example", 80)),
        (connect(f"{'a.' * 126}a:1"), Address("a." * 126 + "a", 1)),
        (connect("example.org:443", "Content-Length: 0"), TARGET),
        (connect("example.org:443", "Connection: close", "User-Agent: curl/8"), TARGET),
        (connect().replace(b"\r\n", b"\n"), TARGET),
    ],
)
def test_a_connect_is_read_however_it_comes(head: bytes, target: Address) -> None:
    ended = feed_every_way(HttpHandshake, head)
    assert ended.result == TunnelRequest(target)
    assert ended.sent == b""


def test_what_comes_behind_the_head_waits_for_the_outcome() -> None:
    handshake = HttpHandshake()
    handshake.receive_data(connect() + FOLLOWING)
    handshake.receive_data(b"more")
    handshake.accept()
    assert handshake.trailing_data() == FOLLOWING + b"more"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_success_is_a_200_without_a_body(version: str) -> None:
    handshake = HttpHandshake()
    handshake.receive_data(connect(version=version))
    assert handshake.data_to_send() == b""
    handshake.accept()
    sent = handshake.data_to_send()
    assert sent.startswith(b"HTTP/1.1 200 ")
    assert sent.endswith(b"\r\n\r\n")
    assert answer(sent).fields.keys() <= {"connection"}


# --- user names and passwords ---------------------------------------------------------------


def test_the_right_password_comes_in() -> None:
    ended = feed_every_way(guarded, connect("example.org:443", RIGHT))
    assert ended.result == TunnelRequest(TARGET, "alice")
    assert ended.sent == b""


def test_a_name_that_nobody_checked_is_nobodys() -> None:
    ended = feed_every_way(HttpHandshake, connect("example.org:443", basic("bob", "x")))
    assert ended.result == TunnelRequest(TARGET, "")


@pytest.mark.parametrize("token", ["Ym9i", "Ym9i!", ""], ids=["no colon", "no base64", "empty"])
def test_a_field_that_is_no_login_names_nobody(token: str) -> None:
    head = connect("example.org:443", f"Proxy-Authorization: Basic {token}")
    assert run(HttpHandshake(), [head]).result == TunnelRequest(TARGET)


@pytest.mark.parametrize("field", [RIGHT.replace("Basic", "bASIC"), RIGHT.replace("c ", "c   ")])
def test_the_scheme_has_no_case_and_any_spaces_behind_it(field: str) -> None:
    assert run(guarded(), [connect("example.org:443", field)]).result is not None


WRONG = {
    "nothing": [],
    "scheme": [basic("alice", "open:sesame", scheme="Bearer")],
    "no scheme": [RIGHT.replace("Basic ", "")],
    "user": [basic("bob", "open:sesame")],
    "password": [basic("alice", "sesame")],
    "no password": [basic("alice", "")],
    "no colon": [f"Proxy-Authorization: Basic {base64.b64encode(b'alice').decode()}"],
    "no base64": ["Proxy-Authorization: Basic al!ce"],
    "more than base64": [RIGHT.replace("Basic Y", "Basic Y!")],
    "cut base64": ["Proxy-Authorization: Basic YWxpY2U6b"],
    "empty": ["Proxy-Authorization:"],
    "bytes over 127": ["Proxy-Authorization: Basic é"],
    "given twice": [RIGHT, RIGHT],
    "meant for the target": [RIGHT.removeprefix("Proxy-")],
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_a_wrong_login_is_asked_again_and_the_retry_comes_in(fields: list[str]) -> None:
    stream = connect("wrong.example:1", *fields) + connect("example.org:443", RIGHT)
    ended = feed_every_way(guarded, stream)
    assert ended.result == TunnelRequest(TARGET, "alice")
    asked = answer(ended.sent)
    assert (asked.status, asked.reason) == (407, "Proxy Authentication Required")
    challenge = asked.fields["proxy-authenticate"]
    assert re.fullmatch(r'Basic realm="[^"]+", charset="UTF-8"', challenge)
    assert "connection" not in asked.fields
    assert_is_a_line(asked.body)


def test_the_question_does_not_wait_for_the_retry() -> None:
    handshake = guarded()
    asked = run(handshake, [connect()])
    assert answer(asked.sent).status == 407
    assert asked.result is None
    assert run(handshake, [connect("example.org:443", RIGHT)]).result is not None


def test_every_wrong_attempt_is_answered_in_turn() -> None:
    wrong = connect("example.org:443", basic("alice", "guess"))
    ended = feed_every_way(guarded, wrong * 2 + connect("example.org:443", RIGHT))
    assert [asked.status for asked in answers(ended.sent)] == [407, 407]
    assert ended.result == TunnelRequest(TARGET, "alice")


def test_the_third_wrong_attempt_is_the_last() -> None:
    wrong = connect("example.org:443", basic("alice", "guess"))
    ended = feed_every_way(guarded, wrong * 3)
    assert [asked.status for asked in answers(ended.sent)] == [407, 407, 407]
    assert ended.error is AuthenticationError
    assert ended.text == "wrong proxy credentials"


def test_asking_without_credentials_is_no_attempt() -> None:
    ended = feed_every_way(guarded, connect() * 4 + connect("example.org:443", RIGHT))
    assert [asked.status for asked in answers(ended.sent)] == [407] * 4
    assert ended.result == TunnelRequest(TARGET, "alice")


@pytest.mark.parametrize("head", [connect(version="1.0"), connect("a:1", "Connection: close")])
def test_a_client_that_cannot_ask_again_is_told_and_closed(head: bytes) -> None:
    ended = feed_every_way(guarded, head)
    assert ended.error is AuthenticationError
    asked = answer(ended.sent)
    assert asked.status == 407
    assert asked.fields["connection"] == "close"


PING = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("make", [HttpHandshake, guarded])
def test_a_ping_is_answered_without_a_password_and_a_request_may_follow(
    make: Callable[[], HttpHandshake],
) -> None:
    ended = feed_every_way(make, PING * 2 + connect("example.org:443", RIGHT))
    assert ended.sent.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert isinstance(ended.result, TunnelRequest)


@pytest.mark.parametrize("make", [HttpHandshake, guarded])
def test_who_has_only_pinged_has_asked_for_nothing(make: Callable[[], HttpHandshake]) -> None:
    handshake = make()
    handshake.receive_data(PING)
    assert not handshake.asked
    handshake.receive_data(PING + b"C")
    assert handshake.asked


def test_a_ping_does_not_hide_a_wrong_password() -> None:
    handshake = guarded()
    handshake.receive_data(connect("a:1", basic("alice", "guess")) + PING)
    assert handshake.asked
    ended = run(handshake, [b""])
    assert ended.error is AuthenticationError


@pytest.mark.parametrize(
    "head", [b"OPTIONS * HTTP/1.0\r\n\r\n", PING[:-2] + b"Connection: close\r\n\r\n"]
)
@pytest.mark.parametrize("more", [[b""], [b"x"], []])
def test_a_ping_that_wants_no_more_is_the_last(head: bytes, more: list[bytes]) -> None:
    pieces = [head, *more] if more else [head + b"what comes with it"]
    ended = run(HttpHandshake(), pieces)
    assert ended.error is EndOfStream
    assert ended.sent.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nConnection: close\r\n" in ended.sent


def test_a_ping_with_a_body_is_none() -> None:
    ended = run(guarded(), [PING[:-2] + b"Content-Length: 1\r\n\r\nx"])
    assert answer(ended.sent).status == 407


def test_a_wrong_password_is_not_told() -> None:
    head = connect("example.org:443", basic("alice", "guess"), version="1.0")
    ended = run(guarded(), [head])
    assert "guess" not in ended.text + ended.sent.decode()


@pytest.mark.parametrize("broken", [" : Basic {}", ": Basic {}\0"])
def test_a_password_in_a_broken_line_is_not_told(broken: str) -> None:
    token = base64.b64encode(b"alice:open:sesame").decode()
    ended = feed_every_way(guarded, connect("a:1", "Proxy-Authorization" + broken.format(token)))
    assert ended.error is ProtocolError
    assert answer(ended.sent).status == 400
    assert token not in ended.text + ended.sent.decode()


# --- what is refused ------------------------------------------------------------------------


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
def test_a_target_that_is_none_is_a_bad_request(target: str) -> None:
    ended = feed_every_way(HttpHandshake, connect(target))
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
        b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
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
def test_what_is_no_request_is_a_bad_request(head: bytes) -> None:
    ended = feed_every_way(HttpHandshake, head)
    assert ended.error is ProtocolError
    refused = answer(ended.sent)
    assert refused.status == 400
    assert refused.fields["connection"] == "close"
    assert refused.proxy_status == [(BRIDGE, {"error": "http_request_error"})]
    assert_is_a_line(refused.body)


@pytest.mark.parametrize("hello", [b"\x00\x00\x00\x2c", b"\x06\x01\x00", b"\x01\x01\x00"])
def test_another_protocol_is_refused_by_its_first_byte(hello: bytes) -> None:
    ended = feed_every_way(HttpHandshake, hello)
    assert ended.error is ProtocolError
    assert ended.text == "not a valid HTTP request: illegal request line"
    assert answer(ended.sent).status == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PRI", "connect", "X" * 99])
def test_another_method_is_handed_on_as_it_was_read(method: str) -> None:
    head = f"{method} http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n".encode()
    for pieces in every_way(head):
        ended = run(HttpHandshake(), pieces)
        assert isinstance(ended.result, AuthorizedRequest)
        assert ended.result.request.method == method.encode()
        assert ended.sent == b""


def test_what_no_url_has_is_encoded_as_most_clients_do_themselves() -> None:
    head = "GET http://a/ü?q=ß HTTP/1.1\r\nHost: a\r\nX: ü\r\n\r\n".encode()
    for pieces in every_way(head):
        ended = run(HttpHandshake(), pieces)
        assert isinstance(ended.result, AuthorizedRequest)
        assert ended.result.request.target == b"http://a/%C3%BC?q=%C3%9F"
        assert (b"x", "ü".encode()) in list(ended.result.request.headers)


@pytest.mark.parametrize("version", ["2.0", "0.9", "3.1"])
def test_another_version_is_refused(version: str) -> None:
    ended = feed_every_way(HttpHandshake, connect("a:1", version=version))
    assert ended.error is ProtocolError
    assert answer(ended.sent).status == 505


def test_a_password_in_a_target_is_not_told() -> None:
    for target in ("user:s3cret@example.org:443", "https://user:s3cret@example.org/"):
        ended = feed_every_way(HttpHandshake, connect(target))
        assert ended.error is AddressError
        assert answer(ended.sent).status == 400
        assert b"s3cret" not in ended.sent
        assert "s3cret" not in ended.text


def test_empty_lines_before_a_request_are_nothing() -> None:
    """RFC 9112 section 2.2."""
    ended = feed_every_way(HttpHandshake, b"\r\n\n\r\n" + connect("example.org:443"))
    assert ended.result == TunnelRequest(TARGET)


@pytest.mark.parametrize("before", [b"", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"])
@pytest.mark.parametrize("bare", [b"\r", b"\r\r\n", b"\r\n\r"])
def test_a_bare_cr_before_a_request_is_no_empty_line(before: bytes, bare: bytes) -> None:
    """RFC 9112 section 2.2: another reader may see a part of the method in it."""
    ended = feed_every_way(HttpHandshake, before + bare + connect("example.org:443"))
    assert ended.error is ProtocolError
    assert ended.sent.count(b"HTTP/1.1 400 ") == 1


def test_another_method_has_to_be_let_in_too() -> None:
    head = b"GET http://a/ HTTP/1.1\r\nHost: a\r\n"
    right = head + RIGHT.encode() + b"\r\n\r\n"
    ended = run(guarded(), [head + b"\r\n", right])
    assert [asked.status for asked in answers(ended.sent)] == [407]
    assert isinstance(ended.result, AuthorizedRequest)
    assert ended.result.client == "alice"


def test_who_is_not_let_in_and_sends_a_body_has_to_come_again() -> None:
    head = b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    ended = run(guarded(), [head])
    assert ended.error is AuthenticationError
    assert answer(ended.sent).fields["connection"] == "close"


@pytest.mark.parametrize(
    "line", ["X: a\r\n b", "X: a\r\n\tb", "X: a\rb"], ids=["folded", "folded by a tab", "bare CR"]
)
def test_what_two_readers_can_read_differently_is_a_bad_request(line: str) -> None:
    for pieces in every_way(connect("example.org:443", line)):
        ended = run(HttpHandshake(), pieces)
        assert ended.error is ProtocolError
        assert answer(ended.sent).status == 400


def test_a_length_and_a_transfer_coding_together_are_a_bad_request() -> None:
    head = b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
    ended = run(HttpHandshake(), [head + b"\r\n\r\n"])
    assert ended.error is ProtocolError
    assert answer(ended.sent).status == 400


@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_connect_with_a_body_is_a_bad_request(field: str) -> None:
    ended = feed_every_way(HttpHandshake, connect("example.org:443", field))
    assert ended.error is ProtocolError
    refused = answer(ended.sent)
    assert refused.status == 400
    assert refused.body == "A CONNECT request carries no body\n"


def test_a_transfer_encoding_that_nobody_knows_is_not_implemented() -> None:
    ended = feed_every_way(HttpHandshake, connect("example.org:443", "Transfer-Encoding: gzip"))
    assert ended.error is ProtocolError
    assert answer(ended.sent).status == 501


# --- how much is taken ----------------------------------------------------------------------


def head_of(size: int) -> bytes:
    """Return a CONNECT whose head has exactly `size` bytes."""
    bare = connect("example.org:443", "X: ")
    return connect("example.org:443", "X: " + "x" * (size - len(bare)))


def in_three_ways(stream: bytes) -> list[list[bytes]]:
    half = len(stream) // 2
    in_kilobytes = [stream[i : i + 1024] for i in range(0, len(stream), 1024)]
    return [[stream], [stream[:half], stream[half:]], [stream[:-1], stream[-1:]], in_kilobytes]


def test_a_head_of_64_kib_is_taken() -> None:
    for pieces in in_three_ways(head_of(MAX_HEAD)):
        assert run(HttpHandshake(), pieces).result == TunnelRequest(TARGET), len(pieces)


@pytest.mark.parametrize("over", [1, 2, 5000, MAX_HEAD])
def test_a_head_over_64_kib_is_refused_however_it_comes(over: int) -> None:
    for pieces in in_three_ways(head_of(MAX_HEAD + over)):
        ended = run(HttpHandshake(), pieces)
        assert ended.error is ProtocolError, len(pieces)
        refused = answer(ended.sent)
        assert (refused.status, refused.reason) == (431, "Request Header Fields Too Large")
        assert refused.fields["connection"] == "close"


def test_bytes_behind_the_head_do_not_count() -> None:
    ended = run(HttpHandshake(), [connect() + b"x" * (2 * MAX_HEAD)])
    assert ended.result is not None
    assert len(ended.trailing) == 2 * MAX_HEAD


def test_a_first_attempt_does_not_count_for_the_second() -> None:
    retry = head_of(MAX_HEAD - len(RIGHT) - 2)
    retry = retry.replace(b"X: ", RIGHT.encode() + b"\r\nX: ", 1)
    assert len(retry) == MAX_HEAD
    for pieces in in_three_ways(connect() + retry):
        assert run(guarded(), pieces).result == TunnelRequest(TARGET, "alice")
    over = retry.replace(b"X: ", b"X: x", 1)
    for pieces in in_three_ways(connect() + over):
        ended = run(guarded(), pieces)
        assert [refused.status for refused in answers(ended.sent)] == [407, 431]


@pytest.mark.parametrize("start", [b"", connect()[:-2] + b"X: ", connect()[:-2]])
def test_a_head_that_never_ends_is_refused(start: bytes) -> None:
    handshake = HttpHandshake()
    if start:
        handshake.receive_data(start)
    filler = b"x" * 1024 if not start.endswith(b"\n") else b"X: x\r\n" * 100
    assert taken_before_refusal(handshake, filler, 1 << 20) <= MAX_HEAD
    assert answer(handshake.data_to_send()).status == 431


# --- failures behind the bridge -------------------------------------------------------------


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
def test_a_failure_is_told_with_its_hop_and_its_reason(
    error: type[NetjumperError], status: int, hop: str, kind: str
) -> None:
    told = decided(lambda handshake: handshake.reject(error("what happened")))
    assert told.status == status
    assert told.fields["connection"] == "close"
    assert told.fields["content-type"] == "text/plain; charset=utf-8"
    hops = told.proxy_status
    assert hops[0] == (hop, {"error": kind, "details": "what happened"})
    assert [name for name, _ in hops[1:]] == ([BRIDGE] if hop == JUMP_SERVER else [])
    assert_is_a_line(told.body)
    assert told.body.endswith(" example.org:443: what happened\n")


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
def test_no_text_breaks_out_of_its_field_or_its_line(text: str, details: str, in_body: str) -> None:
    told = decided(lambda handshake: handshake.reject(TargetError(text)))
    assert told.proxy_status[0][1]["details"] == details
    assert told.body.endswith(f": {in_body}\n")
    assert "set-cookie" not in told.fields


@given(st.text(max_size=300))
def test_any_text_can_be_told(text: str) -> None:
    told = decided(lambda handshake: handshake.reject(TargetError(text)))
    assert told.status == 502
    assert [hop for hop, _ in told.proxy_status] == [JUMP_SERVER, BRIDGE]
    assert told.body.count("\n") == 1


def test_a_failure_is_told_to_an_http_1_0_client_too() -> None:
    head = connect(version="1.0")
    assert decided(lambda handshake: handshake.reject(TargetRefused("no")), head).status == 502


# --- ends and garbage -----------------------------------------------------------------------


def test_a_client_that_goes_away_in_the_middle_is_an_error() -> None:
    before, *within = end_everywhere(HttpHandshake, connect())
    assert before.error is EndOfStream
    assert before.sent == b""
    for ended in within:
        assert ended.error is ProtocolError
        assert answer(ended.sent).status == 400


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ([], "no proxy credentials were given"),
        ([basic("alice", "guess")], "wrong proxy credentials"),
    ],
)
def test_a_client_that_goes_away_when_it_is_turned_away_was_not_let_in(
    fields: list[str], told: str
) -> None:
    ended = run(guarded(), [connect("example.org:443", *fields), b""])
    assert ended.error is AuthenticationError
    assert ended.text == told
    assert [asked.status for asked in answers(ended.sent)] == [407]


STARTS = [
    b"",
    b"CONNECT ",
    connect()[:-2],
    connect() + b"CONNECT ",
    b"GET / HTTP/1.1\r\nHost: a\r\n",
]
LIKE_HTTP = st.text(alphabet="CONNECT GET/:.[]a1 \r\nHTTP/1.1Host: basicé\0", max_size=60)
PIECES = st.lists(
    st.one_of(st.binary(min_size=1), LIKE_HTTP.filter(bool).map(str.encode)), max_size=8
)


@given(st.sampled_from([HttpHandshake, guarded]), st.sampled_from(STARTS), PIECES)
def test_garbage_is_never_more_than_an_error(
    make: Callable[[], HttpHandshake], start: bytes, pieces: list[bytes]
) -> None:
    handshake = make()
    ended = run(handshake, [*([start] if start else []), *pieces, b""])
    assert ended.error is not None or ended.result is not None
    if ended.result is not None:
        handshake.reject(TargetError("no"))
        assert answer(handshake.data_to_send()).status == 502
