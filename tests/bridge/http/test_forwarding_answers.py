"""Answers that are forwarded to the client, and those that fail."""

import re
from typing import Any

import pytest

from netjumper.bridge.http.forwarding import ConnectionEnd
from netjumper.errors import TargetBroke, TargetRefused, TargetTimeout
from tests.support.byte_splits import all_splits
from tests.support.forwarding import OK, OK_BACK, VIA, Talk, get


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
def test_answer_is_forwarded_for_any_split_of_its_bytes(answer: bytes) -> None:
    received = set()
    for pieces in all_splits(answer):
        talk = Talk(get()).open()
        back = b""
        for piece in pieces:
            back += talk.target(piece).to_client
        assert len(talk.done) == 1
        assert talk.it.idle
        unchunked = re.sub(rb"[0-9]+\r\n|\r\n", b"", back.partition(b"\r\n\r\n")[2])
        assert unchunked == (b"ok" if b"ok" in answer else b"")
        received.add(back.partition(b"\r\n\r\n")[0])
    (head,) = received
    assert head.startswith(answer.partition(b"\r\n")[0])
    assert b"Via: 1.1 bridge-1" in head


@pytest.mark.parametrize("status", [b"103 Early Hints", b"204 No Content"])
def test_answer_without_content_has_no_content_length(status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nX: 1\r\nContent-Length: 5\r\n\r\n"
    received = Talk(get()).open().target(answer).to_client
    assert received == b"HTTP/1.1 " + status + b"\r\nX: 1\r\n" + VIA + b"\r\n"


def test_shutdown_makes_the_current_answer_the_last() -> None:
    talk = Talk(get()).open()
    talk.it.begin_shutdown()
    talk.target(OK).client(get(b"/more"))
    assert talk.to_client == OK_BACK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_shutdown_after_the_head_closes_without_connection_close() -> None:
    talk = Talk(get()).open().target(OK[:-1])
    talk.it.begin_shutdown()
    assert talk.target(OK[-1:]).to_client == OK_BACK
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_shutdown_between_requests_closes_the_connection() -> None:
    talk = Talk(get()).open().target(OK)
    talk.it.begin_shutdown()
    assert talk.client(get(b"/more")).it.connection_end is ConnectionEnd.CLOSE
    assert len(talk.done) == 1


def test_target_that_answers_407_is_reported_as_a_proxy() -> None:
    received = (
        Talk(get()).open().target(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n").to_client
    )
    assert received.startswith(b"HTTP/1.1 502 ")
    assert b"the target is itself a proxy and requires authentication (407)" in received


def test_target_without_an_answer_in_time_gives_504() -> None:
    talk = Talk(get()).open()
    assert talk.it.expire()
    assert talk.to_client.startswith(b"HTTP/1.1 504 ")
    assert talk.it.must_close_target
    assert (
        talk.done[0].ending
        == "GET: AnswerTimeout: the target did not answer before the idle timeout"
    )


def test_started_answer_cannot_become_a_504() -> None:
    assert not Talk(get()).open().target(OK[:-1]).it.expire()


def test_answer_without_a_length_ends_with_the_targets_connection() -> None:
    talk = Talk(get()).open().target(b"HTTP/1.0 200 OK\r\n\r\nall of it").target(b"")
    received = talk.to_client
    assert b"Transfer-Encoding: chunked" in received
    assert received.endswith(b"9\r\nall of it\r\n0\r\n\r\n")
    assert talk.it.idle


def test_trailers_of_an_answer_are_forwarded_as_trailers() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    talk = Talk(get()).open().target(head + b"2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")
    assert talk.to_client.endswith(b"2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")


def test_answer_to_head_keeps_its_content_length() -> None:
    talk = Talk(get(method=b"HEAD")).open().target(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    received = talk.to_client
    assert b"Content-Length: 9\r\n" in received
    assert received.endswith(b"\r\n\r\n")
    assert talk.it.idle


def test_content_length_beside_chunks_is_dropped() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n"
    received = Talk(get()).open().target(head + b"2\r\nok\r\n0\r\n\r\n").to_client
    assert b"99" not in received
    assert received.endswith(b"2\r\nok\r\n0\r\n\r\n")


def test_answer_before_the_end_of_the_request_body_closes_the_connection() -> None:
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
def test_cut_answer_is_never_forwarded_as_complete(answer: bytes) -> None:
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
def test_invalid_answer_is_a_502_with_the_reason(answer: bytes, kind: bytes, words: bytes) -> None:
    received = Talk(get()).open().target(answer).target(b"").to_client
    assert b"Proxy-Status: netjumper-bridge; error=" + kind in received
    assert b"\r\n\r\nNo valid answer from a.example:80: " + words in received


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2\0"])
def test_answer_cut_in_its_head_is_a_502(answer: bytes) -> None:
    talk = Talk(get()).open()
    if answer:
        talk.target(answer)
    if talk.it.connection_end is None:
        talk.target(b"")
    assert talk.to_client.startswith(b"HTTP/1.1 502 ")
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_reset_within_an_answer_without_a_length_is_a_reset() -> None:
    talk = Talk(get()).open().target(b"HTTP/1.0 200 OK\r\n\r\nsome of it")
    talk.it.target_lost()
    assert talk.it.connection_end is ConnectionEnd.RESET


@pytest.mark.parametrize(
    ("error", "status"),
    [(TargetRefused("dial tcp a:80: connect: connection refused"), 502), (TargetTimeout("x"), 504)],
)
def test_unreachable_target_is_reported_with_its_status(error: Any, status: int) -> None:
    talk = Talk(get())
    talk.it.target_failed(error)
    received = talk.to_client
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert b"Proxy-Status: netjumper; error=" in received
    assert talk.done[0].error is error


ACCEPTED = {
    "a blank before a colon": b"HTTP/1.1 200 OK\r\nX-Thing : a\r\nContent-Length: 2\r\n\r\nok",
    "names that are no tokens": b"HTTP/1.1 200 OK\r\na/b.php: 1\r\nContent Type: 1\r\nX[1]: 1\r\n"
    b"\xc3\xbc: 1\r\nX-Thing: a\r\nContent-Length: 2\r\n\r\nok",
    "a folded field under a bad name": b"HTTP/1.1 200 OK\r\nX-Thing: a\r\nX[1]: 1\r\n 2\r\n\t3\r\n"
    b"Content-Length: 2\r\n\r\nok",
    "identity": b"HTTP/1.1 200 OK\r\nX-Thing: a\r\nTransfer-Encoding: identity\r\n"
    b"Content-Length: 2\r\n\r\nok",
    "empty lines before it": b"\r\n\r\nHTTP/1.1 200 OK\r\nX-Thing: a\r\n"
    b"Content-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("answer", ACCEPTED.values(), ids=ACCEPTED)
def test_answer_that_clients_accept_is_forwarded_without_its_faults(answer: bytes) -> None:
    for pieces in all_splits(answer):
        talk = Talk(get()).open()
        received = b"".join(talk.target(piece).to_client for piece in pieces)
        fields = b"X-Thing: a\r\nContent-Length: 2\r\n" + VIA
        assert received == b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nok"
        assert talk.it.idle


@pytest.mark.parametrize("cut", [1, 1000, 200_000])
def test_head_of_100_kb_is_forwarded_however_it_comes(cut: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\nContent-Length: 2\r\n\r\nok"
    talk = Talk(get()).open().target(answer[:cut]).target(answer[cut:])
    assert talk.to_client.startswith(b"HTTP/1.1 200 ")


def test_chunked_twice_is_chunked_once() -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"Transfer-Encoding: chunked\r\n" * 2
    received = Talk(get()).open().target(head + b"\r\n2\r\nok\r\n0\r\n\r\n").to_client
    assert received.endswith(b"2\r\nok\r\n0\r\n\r\n")


def test_icy_status_line_is_that_of_http_1_0() -> None:
    talk = Talk(get()).open().target(b"ICY 200 OK\r\n\r\nmusic")
    assert talk.to_client.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("begin", [b"SSH-2.0-x", b"220 ", b"-ERR x\r\n", b"x"])
def test_bytes_that_can_begin_no_answer_are_a_502_at_once(begin: bytes) -> None:
    talk = Talk(get()).open().target(begin)
    assert talk.to_client.startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("body", [b"5\nhello\n0\n\n", b"hello"])
def test_body_that_can_become_no_chunks_is_a_reset_at_once(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    talk = Talk(get()).open().target(head).target(body)
    assert talk.it.connection_end is ConnectionEnd.RESET


def test_empty_line_after_an_informational_answer_is_skipped() -> None:
    talk = Talk(get()).open().target(b"HTTP/1.1 103 Early Hints\r\n\r\n\r\n" + OK)
    assert talk.to_client.endswith(OK_BACK)
