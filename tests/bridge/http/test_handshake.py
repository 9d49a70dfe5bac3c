"""Requests that the HTTP handshake accepts, its limits, and garbage."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjumper.addressing.address import Address
from netjumper.bridge.http.handshake import HttpHandshake
from netjumper.bridge.http.messages import MAX_HEAD_BYTES
from netjumper.errors import (
    AuthenticationError,
    CredentialsMissing,
    ProtocolError,
    TargetError,
)
from netjumper.protocol.handshake import EndOfStream, TunnelRequest
from tests.support.byte_splits import (
    TRAILING,
    accepted_before_refusal,
    end_after_each_byte,
    feed_all_splits,
    run,
)
from tests.support.http_handshake import RIGHT, TARGET, answer, answers, basic, connect, guarded

# --- accepted requests ----------------------------------------------------------------------


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
def test_connect_is_read_for_any_split_of_its_bytes(head: bytes, target: Address) -> None:
    ended = feed_all_splits(HttpHandshake, head)
    assert ended.result == TunnelRequest(target)
    assert ended.sent == b""


def test_bytes_after_the_head_wait_for_the_outcome() -> None:
    handshake = HttpHandshake()
    handshake.receive_data(connect() + TRAILING)
    handshake.receive_data(b"more")
    handshake.accept()
    assert handshake.trailing_data() == TRAILING + b"more"


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


# --- limits ---------------------------------------------------------------------------------


def head_of(size: int) -> bytes:
    """Return a CONNECT whose head has exactly `size` bytes."""
    bare = connect("example.org:443", "X: ")
    return connect("example.org:443", "X: " + "x" * (size - len(bare)))


def in_three_ways(stream: bytes) -> list[list[bytes]]:
    half = len(stream) // 2
    in_kilobytes = [stream[i : i + 1024] for i in range(0, len(stream), 1024)]
    return [[stream], [stream[:half], stream[half:]], [stream[:-1], stream[-1:]], in_kilobytes]


def test_head_of_64_kib_is_accepted() -> None:
    for pieces in in_three_ways(head_of(MAX_HEAD_BYTES)):
        assert run(HttpHandshake(), pieces).result == TunnelRequest(TARGET), len(pieces)


@pytest.mark.parametrize("over", [1, 2, 5000, MAX_HEAD_BYTES])
def test_head_over_64_kib_is_rejected_for_any_split_of_its_bytes(over: int) -> None:
    for pieces in in_three_ways(head_of(MAX_HEAD_BYTES + over)):
        ended = run(HttpHandshake(), pieces)
        assert ended.error is ProtocolError, len(pieces)
        refused = answer(ended.sent)
        assert (refused.status, refused.reason) == (431, "Request Header Fields Too Large")
        assert refused.fields["connection"] == "close"


def test_bytes_after_the_head_do_not_count_towards_its_limit() -> None:
    ended = run(HttpHandshake(), [connect() + b"x" * (2 * MAX_HEAD_BYTES)])
    assert ended.result is not None
    assert len(ended.trailing) == 2 * MAX_HEAD_BYTES


def test_first_attempt_does_not_count_towards_the_limit_of_the_second() -> None:
    retry = head_of(MAX_HEAD_BYTES - len(RIGHT) - 2)
    retry = retry.replace(b"X: ", RIGHT.encode() + b"\r\nX: ", 1)
    assert len(retry) == MAX_HEAD_BYTES
    for pieces in in_three_ways(connect() + retry):
        assert run(guarded(), pieces).result == TunnelRequest(TARGET, "alice")
    over = retry.replace(b"X: ", b"X: x", 1)
    for pieces in in_three_ways(connect() + over):
        ended = run(guarded(), pieces)
        assert [refused.status for refused in answers(ended.sent)] == [407, 431]


@pytest.mark.parametrize("start", [b"", connect()[:-2] + b"X: ", connect()[:-2]])
def test_endless_head_is_rejected(start: bytes) -> None:
    handshake = HttpHandshake()
    if start:
        handshake.receive_data(start)
    filler = b"x" * 1024 if not start.endswith(b"\n") else b"X: x\r\n" * 100
    assert accepted_before_refusal(handshake, filler, 1 << 20) <= MAX_HEAD_BYTES
    assert answer(handshake.data_to_send()).status == 431


# --- early ends and garbage -----------------------------------------------------------------


def test_client_that_leaves_during_its_request_is_an_error() -> None:
    before, *within = end_after_each_byte(HttpHandshake, connect())
    assert before.error is EndOfStream
    assert before.sent == b""
    for ended in within:
        assert ended.error is ProtocolError
        assert answer(ended.sent).status == 400


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ([], CredentialsMissing, "no proxy credentials were given"),
        (
            ["Proxy-Authorization: Bearer x"],
            CredentialsMissing,
            "no proxy credentials in a Basic field",
        ),
        ([basic("alice", "guess")], AuthenticationError, "wrong proxy credentials"),
    ],
)
def test_client_that_leaves_after_407_is_an_authentication_error(
    fields: list[str], error: type[Exception], message: str
) -> None:
    ended = run(guarded(), [connect("example.org:443", *fields), b""])
    assert ended.error is error
    assert ended.text == message
    assert [response.status for response in answers(ended.sent)] == [407]


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
def test_garbage_never_causes_more_than_an_error(
    make: Callable[[], HttpHandshake], start: bytes, pieces: list[bytes]
) -> None:
    handshake = make()
    ended = run(handshake, [*([start] if start else []), *pieces, b""])
    assert ended.error is not None or ended.result is not None
    if ended.result is not None:
        handshake.reject(TargetError("no"))
        assert answer(handshake.data_to_send()).status == 502


def test_connect_without_a_host_field_is_served() -> None:
    """The target is in the request line; lftp sends no more."""
    ended = feed_all_splits(HttpHandshake, b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
    assert isinstance(ended.result, TunnelRequest)
    assert str(ended.result.target) == "example.org:443"
