"""Forwarding, sans-IO: the client's bytes in, the target's bytes out, and back."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.exchange import Exchange
from netjumper.bridge.http.forwarding import ConnectionEnd, Forwarding
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.errors import TargetBroke, TargetRefused, TargetTimeout
from netjumper.protocol.handshake import TunnelRequest
from tests.support.byte_splits import every_way, one_by_one

NAME = b"bridge-1"
VIA = b"Via: 1.1 bridge-1\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_BACK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 bridge-1\r\n\r\nok"


class Talk:
    """A forwarding, what it said to both sides, and the exchanges that are over."""

    def __init__(self, first: bytes, credentials: Credentials | None = None) -> None:
        handshake = HttpHandshake(credentials)
        handshake.receive_data(first)
        request = handshake.result
        assert isinstance(request, AuthorizedRequest)
        self.done: list[Exchange] = []
        self.it = Forwarding(request, name=NAME, clock=lambda: 0.0, done=self.done.append)

    def client(self, data: bytes) -> "Talk":
        self.it.receive_from_client(data)
        return self

    def target(self, data: bytes) -> "Talk":
        self.it.receive_from_target(data)
        return self

    def open(self) -> "Talk":
        assert self.it.target_to_open is not None
        self.it.target_opened()
        return self

    @property
    def to_client(self) -> bytes:
        return self.it.data_to_client()

    @property
    def to_target(self) -> bytes:
        return self.it.data_to_target()


def get(
    path: bytes = b"/", *fields: bytes, method: bytes = b"GET", host: bytes = b"a.example"
) -> bytes:
    lines = [method + b" http://" + host + path + b" HTTP/1.1", b"Host: wrong.example", *fields]
    return b"\r\n".join([*lines, b"", b""])


def asked(request: bytes) -> bytes:
    """Return what the target is asked."""
    return Talk(request).open().to_target


# --- the request --------------------------------------------------------------------------


def test_a_request_goes_to_the_target_in_origin_form_with_the_targets_host() -> None:
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
def test_urls(url: bytes, target: tuple[str, int], line: bytes, host: bytes) -> None:
    talk = Talk(b"GET " + url + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert talk.it.target_to_open == Address(*target)
    assert talk.open().to_target.startswith(line + b"HTTP/1.1\r\nHost: " + host + b"\r\n")


def test_an_options_of_the_whole_server_has_a_star() -> None:
    assert asked(get(b"", method=b"OPTIONS")).startswith(b"OPTIONS * HTTP/1.1\r\n")


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
def test_fields_between_two_hops_are_dropped(field: bytes) -> None:
    assert field.split(b":")[0].lower() not in asked(get(b"/", field, b"X: 1")).lower()


def test_fields_that_connection_names_are_dropped() -> None:
    assert b"secret" not in asked(get(b"/", b"Connection: X-Hop, close", b"X-Hop: secret"))


def test_connection_cannot_take_away_what_the_message_rests_on() -> None:
    request = get(b"/", b"Connection: Host, Content-Length", b"Content-Length: 0", method=b"POST")
    assert b"Host: a.example" in asked(request)
    assert b"Content-Length: 0" in asked(request)


def test_our_via_stands_behind_those_of_others() -> None:
    fields = asked(get(b"/", b"Via: 1.1 other")).split(b"\r\n")
    assert fields.index(b"Via: 1.1 other") < fields.index(b"Via: 1.1 bridge-1")


def test_a_body_of_known_length_goes_on_as_it_comes() -> None:
    talk = Talk(get(b"/", b"Content-Length: 10", method=b"PUT") + b"01234").open()
    assert talk.to_target.endswith(b"\r\n\r\n01234")
    assert talk.client(b"56789").to_target == b"56789"


def test_a_body_in_chunks_goes_on_in_chunks_with_its_trailers() -> None:
    body = b"5\r\nhello\r\n0\r\nX-Sum: 7\r\nConnection: x\r\n\r\n"
    said = asked(get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + body)
    assert b"Transfer-Encoding: chunked\r\n" in said
    assert said.endswith(b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n")


def test_what_frames_and_routes_a_message_is_not_taken_from_its_trailers() -> None:
    end = b"0\r\nX: kept\r\nHost: evil\r\nContent-Length: 7\r\n\r\n"
    said = asked(get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + end)
    assert said.endswith(b"0\r\nX: kept\r\n\r\n")


def test_an_http_1_0_client_has_no_other_protocol_to_switch_to() -> None:
    request = b"GET http://a/ HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert b"pgrade" not in asked(request)


def test_a_request_for_100_continue_and_the_answer_to_it_go_on() -> None:
    talk = Talk(get(b"/", b"Expect: 100-continue", b"Content-Length: 2", method=b"PUT")).open()
    assert b"Expect: 100-continue" in talk.to_target
    assert talk.target(b"HTTP/1.1 100 Continue\r\n\r\n").to_client.startswith(b"HTTP/1.1 100 ")
    assert talk.client(b"hi").to_target == b"hi"
    assert talk.target(OK).to_client == OK_BACK


def test_an_http_1_0_client_is_told_nothing_it_does_not_know() -> None:
    talk = Talk(b"GET http://a/ HTTP/1.0\r\n\r\n").open()
    talk.target(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    talk.target(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    said = talk.to_client
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"chunked" not in said
    assert said.endswith(b"\r\n\r\nok")
    assert talk.it.connection_end is ConnectionEnd.CLOSE


@pytest.mark.parametrize(("method", "left"), [(b"OPTIONS", b"4"), (b"TRACE", b"4"), (b"GET", b"5")])
def test_max_forwards_counts_hops(method: bytes, left: bytes) -> None:
    said = asked(get(b"/", b"Max-Forwards: 5", method=method))
    assert b"Max-Forwards: " + left in said


# --- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"not a web server"),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"not a web server"),
        (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"Only http://"),
        (b"GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"Only http://"),
        (b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"Only http://"),
        (b"GET wss://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"Only http://"),
        (get(host=b"user:pw@a"), 400, b"user name or password"),
        (get(host=b"a:99999"), 400, b"'99999'"),
        (get(host=b"a..b"), 400, b"not a host name"),
        (get(host=b""), 400, b"not a host name"),
        (get(b"/", b"Via: 1.0 other, 1.1 bridge-1"), 502, b"proxy_loop_detected"),
        (b"GET / HTTP/1.1\r\nHost: us\r\n" + VIA + b"\r\n", 502, b"proxy_loop_detected"),
    ],
)
def test_what_is_not_forwarded_is_answered_and_nothing_is_dialled(
    request_: bytes, status: int, words: bytes
) -> None:
    talk = Talk(request_)
    said = talk.to_client
    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert words in said
    assert b"pw" not in said
    assert talk.it.target_to_open is None
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    (refused,) = talk.done
    assert refused.target is None
    assert re.fullmatch(rf"[A-Z]+ {status}: Refused: .{{10,70}}", refused.ending)


@pytest.mark.parametrize("left", [b"0", b"00"])
def test_a_trace_that_may_go_no_further_is_shown_without_its_secrets(left: bytes) -> None:
    shown = [b"X-Is: shown", b"Max-Forwards: " + left]
    hidden = [b"Cookie: x=s3cret", b"Authorization: Basic s3cret", b"proxy-authorization: s3cret"]
    talk = Talk(get(b"/p", *shown, *hidden, method=b"TRACE"))
    head, _, content = talk.to_client.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: message/http\r\n")
    assert content == get(b"/p", *shown, method=b"TRACE")
    assert [it.ending for it in talk.done] == ["TRACE 200"]


def test_an_options_of_this_proxy_is_answered_behind_other_requests_too() -> None:
    talk = Talk(get()).open().target(OK).client(b"OPTIONS * HTTP/1.1\r\nHost: us\r\n\r\n")
    assert b"HTTP/1.1 200 OK\r\nContent-Type: text/plain" in talk.to_client
    assert talk.done[1].ending == "OPTIONS 200"


def test_an_options_that_may_go_no_further_is_answered_here() -> None:
    talk = Talk(get(b"/", b"Max-Forwards: 0", method=b"OPTIONS"))
    assert talk.to_client.startswith(b"HTTP/1.1 200 ")


def test_a_later_request_that_is_no_http_ends_the_connection() -> None:
    talk = Talk(get()).open().target(OK)
    assert talk.client(b"\x17\x03\x01\r\n\r\n").to_client.startswith(OK_BACK + b"HTTP/1.1 400 ")
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    assert talk.done[1].ending == "ProtocolError: not a valid HTTP request: illegal request line"


def test_a_later_request_without_credentials_is_turned_away_and_may_come_again() -> None:
    right = b"Proxy-Authorization: Basic YW5uOnB3"
    talk = Talk(get(b"/", right), Credentials({"ann": "pw"})).open().target(OK)
    assert talk.to_client == OK_BACK
    assert talk.client(get()).to_client.startswith(b"HTTP/1.1 407 ")
    talk.client(get(b"/again", right)).target(OK)
    assert talk.to_client == OK_BACK
    assert [(it.ending, it.client) for it in talk.done] == [
        ("GET 200", "ann"),
        ("GET 407: AuthenticationError: no proxy credentials were given", ""),
        ("GET 200", "ann"),
    ]


def connect(to: bytes = b"b.example:1", *fields: bytes) -> bytes:
    return b"\r\n".join([b"CONNECT " + to + b" HTTP/1.1", b"Host: b", *fields, b"", b""])


def test_a_connect_behind_other_requests_becomes_a_tunnel() -> None:
    talk = Talk(get()).open().target(OK).client(connect() + b"early").client(b"bird")
    assert talk.to_client == OK_BACK
    assert talk.it.connection_end is ConnectionEnd.TUNNEL
    handshake = talk.it.tunnel()
    assert handshake.result == TunnelRequest(Address("b.example", 1))
    assert handshake.data_to_send() == b""
    assert handshake.trailing_data() == b"earlybird"
    handshake.accept()
    assert handshake.data_to_send().startswith(b"HTTP/1.1 200 Connection established\r\n")


def test_a_connect_behind_other_requests_needs_credentials_too() -> None:
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
def test_a_connect_that_will_not_do_is_refused(wrong: bytes, words: str) -> None:
    talk = Talk(get()).open().target(OK).client(wrong)
    assert b"HTTP/1.1 400 " in talk.to_client
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    assert talk.done[1].ending.startswith("CONNECT 400: Refused: ")
    assert words in talk.done[1].ending


# --- the answer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nX-Kept: yes\r\n\r\n",
    ],
)
def test_an_answer_goes_back_however_it_comes(answer: bytes) -> None:
    said = set()
    for pieces in every_way(answer):
        talk = Talk(get()).open()
        back = b""
        for piece in pieces:
            back += talk.target(piece).to_client
        assert len(talk.done) == 1
        assert talk.it.idle
        unchunked = re.sub(rb"[0-9]+\r\n|\r\n", b"", back.partition(b"\r\n\r\n")[2])
        assert unchunked == (b"ok" if b"ok" in answer else b"")
        said.add(back.partition(b"\r\n\r\n")[0])
    (head,) = said
    assert head.startswith(answer.partition(b"\r\n")[0])
    assert b"Via: 1.1 bridge-1" in head


@pytest.mark.parametrize("status", [b"103 Early Hints", b"204 No Content"])
def test_an_answer_without_content_has_no_length(status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nX: 1\r\nContent-Length: 5\r\n\r\n"
    said = Talk(get()).open().target(answer).to_client
    assert said == b"HTTP/1.1 " + status + b"\r\nX: 1\r\n" + VIA + b"\r\n"


def test_the_answer_under_way_is_the_last_when_the_service_ends() -> None:
    talk = Talk(get()).open()
    talk.it.begin_shutdown()
    talk.target(OK).client(get(b"/more"))
    assert talk.to_client == OK_BACK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_the_head_that_is_out_already_cannot_say_that_it_is_the_last() -> None:
    talk = Talk(get()).open().target(OK[:-1])
    talk.it.begin_shutdown()
    assert talk.target(OK[-1:]).to_client == OK_BACK
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_who_is_between_two_requests_when_the_service_ends_begins_no_other() -> None:
    talk = Talk(get()).open().target(OK)
    talk.it.begin_shutdown()
    assert talk.client(get(b"/more")).it.connection_end is ConnectionEnd.CLOSE
    assert len(talk.done) == 1


def test_a_target_that_is_a_proxy_itself_is_told_as_that() -> None:
    said = Talk(get()).open().target(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n").to_client
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"the target is itself a proxy and requires authentication (407)" in said


def test_what_does_not_answer_in_time_is_a_504() -> None:
    talk = Talk(get()).open()
    assert talk.it.expire()
    assert talk.to_client.startswith(b"HTTP/1.1 504 ")
    assert talk.it.must_close_target
    assert (
        talk.done[0].ending
        == "GET: AnswerTimeout: the target did not answer before the idle timeout"
    )


def test_an_answer_that_has_begun_cannot_become_a_504() -> None:
    assert not Talk(get()).open().target(OK[:-1]).it.expire()


def test_an_answer_without_a_length_ends_with_the_targets_connection() -> None:
    talk = Talk(get()).open().target(b"HTTP/1.0 200 OK\r\n\r\nall of it").target(b"")
    said = talk.to_client
    assert b"Transfer-Encoding: chunked" in said
    assert said.endswith(b"9\r\nall of it\r\n0\r\n\r\n")
    assert talk.it.idle


def test_trailers_of_an_answer_stay_trailers() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    talk = Talk(get()).open().target(head + b"2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")
    assert talk.to_client.endswith(b"2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")


def test_the_head_of_an_answer_to_head_says_how_long_it_would_be() -> None:
    talk = Talk(get(method=b"HEAD")).open().target(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    said = talk.to_client
    assert b"Content-Length: 9\r\n" in said
    assert said.endswith(b"\r\n\r\n")
    assert talk.it.idle


def test_an_answers_length_is_nothing_beside_its_chunks() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = Talk(get()).open().target(head + b"2\r\nok\r\n0\r\n\r\n").to_client
    assert b"99" not in said
    assert said.endswith(b"2\r\nok\r\n0\r\n\r\n")


def test_an_answer_may_come_before_the_requests_body_is_done() -> None:
    talk = Talk(get(b"/", b"Content-Length: 10", method=b"PUT") + b"01234").open().target(OK)
    assert talk.to_client == OK_BACK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert talk.it.connection_end is ConnectionEnd.CLOSE  # the rest would look like a request
    assert talk.it.must_close_target


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\nxyz\r\n",
    ],
)
def test_a_cut_answer_is_never_passed_off_as_complete(answer: bytes) -> None:
    talk = Talk(get()).open().target(answer).target(b"")
    assert talk.it.connection_end is ConnectionEnd.RESET
    assert isinstance(talk.done[0].error, TargetBroke)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", b"http_response_incomplete", b"the target closed the connection before its "),
        (b"HTTP/1.1 2", b"http_response_incomplete", b"the target closed the connection befor"),
        (b"SSH-2.0-x\r\n\r\n", b"http_protocol_error", b"the target's answer is not valid HTTP: i"),
    ],
)
def test_what_is_wrong_with_an_answer_is_told(answer: bytes, kind: bytes, words: bytes) -> None:
    said = Talk(get()).open().target(answer).target(b"").to_client
    assert b"Proxy-Status: netjumper-bridge; error=" + kind in said
    assert b"\r\n\r\nNo valid answer from a.example:80: " + words in said


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2\0"])
def test_an_answer_cut_in_its_head_is_a_502(answer: bytes) -> None:
    talk = Talk(get()).open()
    if answer:
        talk.target(answer)
    if talk.it.connection_end is None:
        talk.target(b"")
    assert talk.to_client.startswith(b"HTTP/1.1 502 ")
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_a_reset_in_an_answer_without_a_length_is_a_reset() -> None:
    talk = Talk(get()).open().target(b"HTTP/1.0 200 OK\r\n\r\nsome of it")
    talk.it.target_lost()
    assert talk.it.connection_end is ConnectionEnd.RESET


@pytest.mark.parametrize(
    ("error", "status"),
    [(TargetRefused("dial tcp a:80: connect: connection refused"), 502), (TargetTimeout("x"), 504)],
)
def test_a_target_that_is_not_reached_is_told(error: Any, status: int) -> None:
    talk = Talk(get())
    talk.it.target_failed(error)
    said = talk.to_client
    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert b"Proxy-Status: netjumper; error=" in said
    assert talk.done[0].error is error


# --- several requests ---------------------------------------------------------------------


def test_the_next_request_to_the_same_target_takes_the_same_connection() -> None:
    talk = Talk(get(b"/1")).open().target(OK)
    assert talk.to_client == OK_BACK
    assert b"GET /1" in talk.to_target
    assert b"GET /2" in talk.client(get(b"/2")).to_target
    assert not talk.it.must_close_target
    assert talk.target(OK).to_client == OK_BACK
    assert [exchange.reused for exchange in talk.done] == [False, True]


def test_a_connection_is_never_used_for_another_target() -> None:
    talk = Talk(get(b"/1")).open().target(OK).client(get(b"/2", host=b"b.example"))
    assert talk.it.must_close_target
    assert talk.it.target_to_open == Address("b.example", 80)
    talk.open()
    assert b"Host: b.example" in talk.to_target


def test_pipelined_requests_are_answered_in_order() -> None:
    talk = Talk(get(b"/1") + get(b"/2", host=b"b.example") + get(b"/3", host=b"b.example")).open()
    assert b"/1" in talk.to_target
    talk.target(OK).open()
    assert b"/2" in talk.to_target
    said = talk.target(OK).to_target
    assert b"/3" in said
    assert talk.target(OK).to_client == OK_BACK * 3


@pytest.mark.parametrize("empty", [b"\r\n", b"\n", b"\r\n\r\n"])
def test_empty_lines_behind_a_request_are_nothing(empty: bytes) -> None:
    """RFC 9112 section 2.2: what some clients send behind a body."""
    post = get(b"/1", b"Content-Length: 2", method=b"POST") + b"ab" + empty
    talk = Talk(post + get(b"/2")).open().target(OK)
    assert b"GET /2" in talk.to_target
    assert talk.client(empty).target(OK).to_client == OK_BACK * 2


def test_half_an_empty_line_at_the_end_of_the_stream_is_nothing() -> None:
    talk = Talk(get(b"/1") + b"\r").open().target(OK).client(b"")
    assert talk.to_client == OK_BACK


def test_all_of_it_one_byte_at_a_time() -> None:
    talk = Talk(get(b"/1")).open()
    for byte in one_by_one(OK):
        talk.target(byte)
    for byte in one_by_one(get(b"/2", b"Content-Length: 3", method=b"PUT") + b"abc"):
        talk.client(byte)
    for byte in one_by_one(OK):
        talk.target(byte)
    assert talk.to_client == OK_BACK * 2
    assert talk.to_target.endswith(b"abc")


def test_a_target_that_closes_between_requests_is_dialled_anew() -> None:
    talk = Talk(get(b"/1")).open().target(OK).target(b"")
    assert talk.it.must_close_target
    talk.client(get(b"/2"))
    assert talk.it.target_to_open == Address("a.example", 80)


def test_a_safe_request_that_met_a_dying_connection_is_sent_again() -> None:
    talk = Talk(get(b"/1")).open().target(OK).client(get(b"/2"))
    talk.to_target  # noqa: B018 - it has left
    talk.it.target_lost()
    assert talk.it.target_to_open == Address("a.example", 80)
    assert b"GET /2" in talk.open().to_target
    assert talk.target(OK).to_client == OK_BACK * 2
    talk.client(get(b"/3"))
    assert talk.it.target_to_open is None, "the new connection is kept like any other"


@pytest.mark.parametrize(
    "second", [get(b"/2", method=b"POST"), get(b"/2", b"Content-Length: 1") + b"x"]
)
def test_what_could_do_harm_twice_is_not_sent_again(second: bytes) -> None:
    talk = Talk(get(b"/1")).open().target(OK).client(second)
    talk.it.target_lost()
    assert talk.it.target_to_open is None
    assert b"HTTP/1.1 502 " in talk.to_client


def test_a_request_is_sent_again_once_at_most() -> None:
    talk = Talk(get(b"/1")).open().target(OK).client(get(b"/2"))
    talk.it.target_lost()
    talk.open()
    talk.it.target_lost()
    assert b"HTTP/1.1 502 " in talk.to_client


def test_a_client_that_ends_after_its_request_gets_its_answer() -> None:
    talk = Talk(get()).open().client(b"").target(OK)
    assert talk.to_client == OK_BACK
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_a_raw_url_that_waits_with_the_end_behind_it_is_encoded_too() -> None:
    talk = Talk(get()).open().client(get("/ü".encode())).client(b"")
    assert b"GET / HTTP/1.1\r\n" in talk.to_target
    assert b"GET /%C3%BC HTTP/1.1\r\n" in talk.target(OK).to_target
    assert talk.target(OK).to_client == OK_BACK * 2
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_a_client_that_ends_in_its_body_gets_none() -> None:
    talk = Talk(get(b"/", b"Content-Length: 5", method=b"PUT") + b"01").open().client(b"")
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    assert talk.it.must_close_target
    assert talk.done[0].error is not None


def test_a_client_that_is_gone_is_answered_no_more() -> None:
    for late in (lambda it: it.target_opened(), lambda it: it.target_failed(TargetRefused("x"))):
        talk = Talk(get())
        talk.it.client_lost("reset")
        late(talk.it)
        assert talk.to_client == b""
        assert len(talk.done) == 1


def test_a_target_that_is_lost_between_requests_is_no_ones_failure() -> None:
    talk = Talk(get()).open().target(OK)
    talk.it.target_lost()
    talk.it.target_lost()
    assert talk.it.idle
    assert talk.done[0].error is None


def test_what_a_target_says_unasked_ends_its_connection() -> None:
    talk = Talk(get()).open().target(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert talk.to_client == OK_BACK
    assert talk.it.must_close_target
    assert talk.it.idle


def test_guesses_at_a_later_request_have_an_end() -> None:
    right = b"Proxy-Authorization: Basic YW5uOnB3"
    wrong = get(b"/", b"Proxy-Authorization: Basic YW5uOng=")
    talk = Talk(get(b"/", right), Credentials({"ann": "pw"})).open().target(OK)
    for _ in range(3):
        assert talk.it.connection_end is None
        talk.client(wrong)
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    assert talk.to_client.count(b"HTTP/1.1 407 ") == 3
    assert talk.done[1].ending == "GET 407: AuthenticationError: wrong proxy credentials"


def test_a_refused_head_has_no_body() -> None:
    said = Talk(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").to_client
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.endswith(b"\r\n\r\n")


def test_a_body_that_turns_bad_while_it_is_answered_ends_both_sides() -> None:
    chunked = get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"1\r\na\r\n"
    talk = Talk(chunked).open().target(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun")
    talk.client(b"no chunk\r\n")
    assert talk.it.connection_end is ConnectionEnd.RESET
    assert b"HTTP/1.1 400" not in talk.to_client


# --- another protocol ---------------------------------------------------------------------

UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
SWITCHING = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_an_upgrade_goes_on_and_is_made_only_after_a_101() -> None:
    talk = Talk(get(b"/", *UPGRADE) + b"early").open()
    said = talk.to_target
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in said
    assert b"early" not in said
    talk.target(SWITCHING + b"first frame")
    back = talk.to_client
    assert back.startswith(b"HTTP/1.1 101 ")
    assert b"Upgrade: websocket" in back
    assert talk.it.connection_end is ConnectionEnd.SWITCHED
    assert talk.it.rest() == (b"early", b"first frame")


def test_an_upgrade_that_is_not_made_is_an_ordinary_answer() -> None:
    talk = Talk(get(b"/", *UPGRADE)).open().target(OK)
    assert talk.to_client == OK_BACK
    assert talk.it.idle


def test_a_101_that_nobody_asked_for_is_a_502() -> None:
    talk = Talk(get()).open().target(SWITCHING)
    assert talk.to_client.startswith(b"HTTP/1.1 502 ")


def test_garbage_from_a_target_never_raises() -> None:
    from hypothesis import given
    from hypothesis import strategies as st

    @given(st.lists(st.binary(max_size=50)), st.booleans())
    def garbage(pieces: list[bytes], head_first: bool) -> None:
        talk = Talk(get()).open()
        for piece in [OK[:30]] * head_first + pieces:
            if talk.it.connection_end is not None:
                break
            if piece:
                talk.target(piece)

    check: Callable[[], None] = garbage
    check()
