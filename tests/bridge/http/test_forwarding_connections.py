"""Several requests on one connection, and protocol switches."""

from collections.abc import Callable

import pytest

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.exchange import MAX_UNPROVED_S, ConnectionEnd
from netjumper.errors import TargetRefused
from tests.support.byte_splits import one_by_one
from tests.support.forwarding import OK, OK_BACK, Talk, get

# --- several requests ---------------------------------------------------------------------


def test_next_request_to_the_same_target_reuses_the_connection() -> None:
    talk = Talk(get(b"/1")).open().target(OK)
    assert talk.to_client == OK_BACK
    assert b"GET /1" in talk.to_target
    assert b"GET /2" in talk.client(get(b"/2")).to_target
    assert not talk.it.must_close_target
    assert talk.target(OK).to_client == OK_BACK
    assert [exchange.reused for exchange in talk.done] == [False, True]


def test_connection_is_never_used_for_another_target() -> None:
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
    received = talk.target(OK).to_target
    assert b"/3" in received
    assert talk.target(OK).to_client == OK_BACK * 3


@pytest.mark.parametrize("empty", [b"\r\n", b"\n", b"\r\n\r\n"])
def test_empty_lines_after_a_request_are_skipped(empty: bytes) -> None:
    """RFC 9112 section 2.2: some clients send an empty line after a body."""
    post = get(b"/1", b"Content-Length: 2", method=b"POST") + b"ab" + empty
    talk = Talk(post + get(b"/2")).open().target(OK)
    assert b"GET /2" in talk.to_target
    assert talk.client(empty).target(OK).to_client == OK_BACK * 2


def test_half_an_empty_line_at_the_end_of_the_stream_is_skipped() -> None:
    talk = Talk(get(b"/1") + b"\r").open().target(OK).client(b"")
    assert talk.to_client == OK_BACK


def test_requests_and_answers_are_forwarded_one_byte_at_a_time() -> None:
    talk = Talk(get(b"/1")).open()
    for byte in one_by_one(OK):
        talk.target(byte)
    for byte in one_by_one(get(b"/2", b"Content-Length: 3", method=b"PUT") + b"abc"):
        talk.client(byte)
    for byte in one_by_one(OK):
        talk.target(byte)
    assert talk.to_client == OK_BACK * 2
    assert talk.to_target.endswith(b"abc")


def test_target_that_closes_between_requests_is_dialled_again() -> None:
    talk = Talk(get(b"/1")).open().target(OK).target(b"")
    assert talk.it.must_close_target
    talk.client(get(b"/2"))
    assert talk.it.target_to_open == Address("a.example", 80)


def test_safe_request_on_a_dying_kept_connection_is_sent_again() -> None:
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
def test_unsafe_request_is_not_sent_again(second: bytes) -> None:
    talk = Talk(get(b"/1")).open().target(OK).client(second)
    talk.to_client  # noqa: B018 - the first answer
    talk.it.target_lost()
    assert talk.it.target_to_open is None
    assert talk.to_client == b"", "the client decides, as without a proxy"
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_unsafe_request_gets_a_new_connection_after_a_pause() -> None:
    talk = Talk(get(b"/1")).open().target(OK)
    talk.now += MAX_UNPROVED_S
    talk.client(get(b"/2", method=b"POST"))
    assert talk.it.must_close_target
    assert talk.it.target_to_open == Address("a.example", 80)
    assert b"POST /2" in talk.open().to_target


def test_safe_request_reuses_the_connection_after_a_pause() -> None:
    talk = Talk(get(b"/1")).open().target(OK)
    talk.now += MAX_UNPROVED_S
    talk.client(get(b"/2"))
    assert talk.it.target_to_open is None


def test_request_is_sent_again_at_most_once() -> None:
    talk = Talk(get(b"/1")).open().target(OK).client(get(b"/2"))
    talk.it.target_lost()
    talk.open()
    talk.it.target_lost()
    assert b"HTTP/1.1 502 " in talk.to_client


def test_client_that_half_closes_after_its_request_gets_its_answer() -> None:
    talk = Talk(get()).open().client(b"").target(OK)
    assert talk.to_client == OK_BACK
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_raw_url_before_the_end_of_the_stream_is_encoded() -> None:
    talk = Talk(get()).open().client(get("/ü".encode())).client(b"")
    assert b"GET / HTTP/1.1\r\n" in talk.to_target
    assert b"GET /%C3%BC HTTP/1.1\r\n" in talk.target(OK).to_target
    assert talk.target(OK).to_client == OK_BACK * 2
    assert talk.it.connection_end is ConnectionEnd.CLOSE


def test_client_that_half_closes_within_its_body_gets_no_answer() -> None:
    talk = Talk(get(b"/", b"Content-Length: 5", method=b"PUT") + b"01").open().client(b"")
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    assert talk.it.must_close_target
    assert talk.done[0].error is not None


def test_lost_client_gets_no_further_answer() -> None:
    for late in (lambda it: it.target_opened(), lambda it: it.target_failed(TargetRefused("x"))):
        talk = Talk(get())
        talk.it.client_lost("reset")
        late(talk.it)
        assert talk.to_client == b""
        assert len(talk.done) == 1


def test_target_lost_between_requests_is_not_an_error() -> None:
    talk = Talk(get()).open().target(OK)
    talk.it.target_lost()
    talk.it.target_lost()
    assert talk.it.idle
    assert talk.done[0].error is None


def test_unsolicited_bytes_end_the_targets_connection() -> None:
    talk = Talk(get()).open().target(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert talk.to_client == OK_BACK
    assert talk.it.must_close_target
    assert talk.it.idle


def test_wrong_credentials_of_a_later_request_end_the_connection() -> None:
    right = b"Proxy-Authorization: Basic YW5uOnB3"
    wrong = get(b"/", b"Proxy-Authorization: Basic YW5uOng=")
    talk = Talk(get(b"/", right), Credentials({"ann": "pw"})).open().target(OK)
    assert talk.it.connection_end is None
    talk.client(wrong + wrong)
    assert talk.it.connection_end is ConnectionEnd.CLOSE
    assert talk.to_client.count(b"HTTP/1.1 407 ") == 1
    assert talk.done[1].ending == "GET 407: AuthenticationError: wrong proxy credentials"


def test_rejected_head_request_gets_no_body() -> None:
    received = Talk(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").to_client
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"\r\n\r\n")


def test_invalid_body_during_its_answer_ends_both_connections() -> None:
    chunked = get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"1\r\na\r\n"
    talk = Talk(chunked).open().target(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun")
    talk.client(b"no chunk\r\n")
    assert talk.it.connection_end is ConnectionEnd.RESET
    assert b"HTTP/1.1 400" not in talk.to_client


# --- protocol switches --------------------------------------------------------------------

UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
SWITCHING = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_upgrade_is_forwarded_and_takes_effect_after_a_101() -> None:
    talk = Talk(get(b"/", *UPGRADE) + b"early").open()
    received = talk.to_target
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in received
    assert b"early" not in received
    talk.target(SWITCHING + b"first frame")
    back = talk.to_client
    assert back.startswith(b"HTTP/1.1 101 ")
    assert b"Upgrade: websocket" in back
    assert talk.it.connection_end is ConnectionEnd.SWITCHED
    assert talk.it.rest() == (b"early", b"first frame")


def test_declined_upgrade_is_an_ordinary_answer() -> None:
    talk = Talk(get(b"/", *UPGRADE)).open().target(OK)
    assert talk.to_client == OK_BACK
    assert talk.it.idle


def test_unrequested_101_is_a_502() -> None:
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
