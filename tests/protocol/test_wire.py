"""The netjumper protocol: frames, the server side, and both sides joined."""

import hmac
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.errors import (
    AddressError,
    AuthenticationError,
    InvalidTarget,
    NameNotFound,
    NetjumperError,
    ProtocolError,
    TargetError,
    TargetRefused,
)
from netjumper.protocol.handshake import EndOfStream, TunnelRequest
from netjumper.protocol.wire import (
    ClientHandshake,
    ServerHandshake,
    answer_to,
    destination_frame,
    frame,
    parse_destination,
    text_frame,
)
from netjumper.server.clients import single_secret
from netjumper.server.guard import Guard
from tests.support.byte_splits import (
    accepted_before_refusal,
    end_after_each_byte,
    feed_all_splits,
    run,
)
from tests.support.wire_sides import (
    ANSWER,
    CHALLENGE,
    DESTINATION,
    REFUSED,
    SECRET,
    TARGET,
    parked,
    requesting,
    server,
)

# --- frames ---------------------------------------------------------------------------------


PIECES = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def to_the_end(handshake: Any, pieces: list[bytes]) -> None:
    """Feed it and end the stream; anything that is not its own error goes through."""
    ended = run(handshake, [*pieces, b""])
    assert ended.error is not None or ended.result is not None
    assert ended.error is None or issubclass(ended.error, NetjumperError)


def test_the_answer_is_the_sha1_of_challenge_and_secret() -> None:
    challenge = b"a0eOakiYIQl9ljQlObq7GF3MeGfok1r3"  # said by the original, and answered
    assert answer_to(challenge, SECRET).hex() == "acc94007a9ddc20c29933847103de693299e0c22"


def test_a_frame_is_its_length_and_its_body() -> None:
    assert frame(b"") == b"\0"
    assert frame(b"abc") == b"\3abc"
    assert frame(b"x" * 255) == b"\xff" + b"x" * 255


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("", b""),
        ("x" * 255, b"x" * 255),
        ("x" * 256, b"x" * 255),
        ("x" * 254 + "é", b"x" * 254),
        ("x" * 253 + "é", b"x" * 253 + "é".encode()),
        ("x" * 253 + "🚀", b"x" * 253),
        ("é" * 200, "é".encode() * 127),
        ("a\udc80b", b"a?b"),
    ],
)
def test_a_text_is_cut_at_255_bytes_between_two_characters(text: str, body: bytes) -> None:
    assert text_frame(text) == frame(body)


@given(st.text())
def test_any_text_fits_a_frame_and_is_its_beginning(text: str) -> None:
    framed = text_frame(text)
    assert framed[0] == len(framed) - 1
    assert text.startswith(framed[1:].decode())
    assert len(text.encode()) <= 255 or len(framed) > 252


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (Address("example.org", 80), b"example.org:80"),
        (Address("192.0.2.1", 80), b"192.0.2.1:80"),
        (Address("::1", 443), b"[::1]:443"),
        (Address("a" * 253, 1), b"a" * 253 + b":1"),
    ],
)
def test_a_destination_is_a_frame_with_host_and_port(target: Address, body: bytes) -> None:
    assert destination_frame(target) == frame(body)


def test_a_destination_over_255_bytes_is_refused() -> None:
    with pytest.raises(AddressError, match="takes 256 bytes, the protocol allows 255"):
        destination_frame(Address("a" * 253, 80))
    with pytest.raises(AddressError, match="the protocol allows 255"):
        requesting(Address("a" * 253, 80))


# --- the client -----------------------------------------------------------------------------


def test_a_server_learns_the_destination_however_the_bytes_come() -> None:
    ended = feed_all_splits(lambda: server("alice"), ANSWER + DESTINATION)
    assert ended.result == TunnelRequest(TARGET, "alice")
    assert ended.sent == frame(CHALLENGE) + b"\0"


def test_the_verdict_does_not_wait_for_the_destination() -> None:
    assert run(server(), [ANSWER]).sent == frame(CHALLENGE) + b"\0"


def test_accept_sends_status_0() -> None:
    handshake = server()
    run(handshake, [ANSWER + DESTINATION])
    handshake.accept()
    assert handshake.data_to_send() == b"\0"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TargetRefused(REFUSED), REFUSED),
        (TargetError(""), "no reason given"),
        (TargetError("é" * 200), "é" * 127),
    ],
)
def test_reject_sends_status_1_and_the_errors_text(error: TargetError, text: str) -> None:
    handshake = server()
    run(handshake, [ANSWER + DESTINATION])
    handshake.reject(error)
    assert handshake.data_to_send() == b"\1" + frame(text.encode())


@pytest.mark.parametrize(
    "answer",
    [
        answer_to(CHALLENGE, b"wrong"),
        answer_to(CHALLENGE[:-1], SECRET),
        answer_to(CHALLENGE, SECRET)[:-1],
        answer_to(CHALLENGE, SECRET) + b"\0",
        b"",
        b"x" * 255,
    ],
)
def test_a_wrong_answer_is_refused_in_the_originals_words(answer: bytes) -> None:
    ended = feed_all_splits(server, frame(answer))
    assert ended.error is (AuthenticationError if len(answer) == 20 else ProtocolError)
    assert ended.sent == frame(CHALLENGE) + b"\1\x1echallenge failed, check secret"


def test_answers_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return True

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert run(server(), [frame(b"x" * 20)]).sent.endswith(b"\0")
    assert compared == [(b"x" * 20, ANSWER[1:])]


def test_challenge_is_random_bytes_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: bytes(range(size)))
    handshake = ServerHandshake(single_secret(SECRET, Guard()).verify)
    assert handshake.data_to_send() == frame(bytes(range(32)))


def test_no_two_challenges_are_the_same() -> None:
    challenges = {
        ServerHandshake(single_secret(SECRET, Guard()).verify).data_to_send() for _ in range(100)
    }
    assert len(challenges) == 100


def test_credentials_decide_about_authentication() -> None:
    def anyone(challenge: bytes, answer: bytes) -> str:
        return f"{challenge!r} {answer!r}"

    ended = run(ServerHandshake(anyone, b"c"), [b"\1a" + DESTINATION])
    assert ended.result == TunnelRequest(TARGET, "b'c' b'a'")


def test_the_end_of_the_stream_is_the_clients_fault_in_every_state() -> None:
    ends = end_after_each_byte(server, ANSWER + DESTINATION)
    assert {end.error for end in ends} == {EndOfStream}
    assert [len(end.sent) for end in ends] == [33] * 21 + [34] * 16


def test_invalid_destination_is_answered_and_is_an_error() -> None:
    ended = feed_all_splits(server, ANSWER + frame(b"example.org"))
    assert ended.error is InvalidTarget
    refusal = b"\1" + text_frame("dial tcp: address example.org: missing port in address")
    assert ended.sent == frame(CHALLENGE) + b"\0" + refusal


# --- destinations ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("example.org:443", Address("example.org", 443)),
        ("192.0.2.1:80", Address("192.0.2.1", 80)),
        ("[::1]:443", Address("::1", 443)),
        ("[192.0.2.1]:80", Address("192.0.2.1", 80)),
        (":80", Address("localhost", 80)),
        ("[]:80", Address("localhost", 80)),
        ("host:http", Address("host", 80)),
        ("127.0.0.1:https", Address("127.0.0.1", 443)),
        ("host:00080", Address("host", 80)),
        ("host:0000000080", Address("host", 80)),
        ("host:65535", Address("host", 65535)),
        ("bücher.example:80", Address("xn--bcher-kva.example", 80)),
    ],
)
def test_a_destination_is_read_as_the_original_does(text: str, target: Address) -> None:
    assert parse_destination(text) == target


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("example.org", InvalidTarget, "address example.org: missing port in address"),
        ("", InvalidTarget, "missing address"),
        ("[::1", InvalidTarget, "address [::1: missing ']' in address"),
        ("h:-1", InvalidTarget, "address -1: invalid port"),
        ("[::1]", InvalidTarget, "address [::1]: missing port in address"),
        ("::1:443", InvalidTarget, "address ::1:443: too many colons in address"),
        ("a:b:80", InvalidTarget, "address a:b:80: too many colons in address"),
        ("127.0.0.1:99999", InvalidTarget, "address 99999: invalid port"),
        ("h:65536", InvalidTarget, "address 65536: invalid port"),
        ("h:0", InvalidTarget, "address 0: invalid port"),
        ("h:000", InvalidTarget, "address 000: invalid port"),
        ("h:" + "9" * 200, InvalidTarget, f"address {'9' * 200}: invalid port"),
        ("h:nosuchservice", InvalidTarget, "address tcp/nosuchservice: unknown port"),
        ("h:", InvalidTarget, "address tcp/: unknown port"),
        ("h:٨٠", InvalidTarget, "address tcp/٨٠: unknown port"),
        ("h:http\0", InvalidTarget, "address tcp/http\0: unknown port"),
        ("a b:80", NameNotFound, "lookup a b: no such host"),
        ("a..b:80", NameNotFound, "lookup a..b: no such host"),
        ("[::g]:80", NameNotFound, "lookup ::g: no such host"),
        ("h\0:80", NameNotFound, "lookup h\0: no such host"),
    ],
)
def test_invalid_destination_has_the_text_of_the_original(
    text: str, kind: type[TargetError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        parse_destination(text)
    assert str(caught.value) == f"dial tcp: {words}"
    assert type(dial_errors.from_text(str(caught.value))) is kind


@given(st.one_of(st.text(), st.text(alphabet="a1.:[]%http\0é", max_size=30)))
@example("[fe80::1%\0]:80")
def test_any_text_is_a_destination_or_a_target_error(text: str) -> None:
    try:
        target = parse_destination(text)
    except TargetError:
        return
    assert parse_destination(str(target)) == target


# --- garbage, and both sides joined ---------------------------------------------------------


@given(PIECES)
@pytest.mark.parametrize("make", [requesting, parked, lambda: ClientHandshake(SECRET)])
def test_garbage_from_a_server_is_never_more_than_an_error(
    make: Callable[[], ClientHandshake], pieces: list[bytes]
) -> None:
    to_the_end(make(), pieces)


@given(PIECES)
@pytest.mark.parametrize("said", [b"", ANSWER])
def test_garbage_from_a_client_is_never_more_than_an_error(
    said: bytes, pieces: list[bytes]
) -> None:
    to_the_end(server(), [said, *pieces] if said else pieces)


def test_a_peer_that_never_ends_is_refused_within_two_frames() -> None:
    assert accepted_before_refusal(ClientHandshake(SECRET), b"\xff", 1024) == 512
    assert accepted_before_refusal(server(), b"\xff", 1024) == 255


@given(
    cuts=st.lists(st.integers(1, 40), min_size=1),
    secret=st.binary(min_size=1),
    early=st.booleans(),
)
def test_a_client_and_a_server_understand_each_other(
    cuts: list[int], secret: bytes, early: bool
) -> None:
    client, jump_server = (
        ClientHandshake(secret),
        ServerHandshake(single_secret(secret, Guard()).verify),
    )
    if early:
        client.request(TARGET)
        client.send_early(b"first bytes")
    to_client, to_server = jump_server.data_to_send(), b""
    while to_client or to_server:
        cut = cuts[0]
        cuts = cuts[1:] + cuts[:1]
        if to_client:
            client.receive_data(to_client[:cut])
        if to_server:
            jump_server.receive_data(to_server[:cut])
        if client.authenticated and not early:
            client.request(TARGET)
            client.send_early(b"first bytes")
            early = True
        if jump_server.result and not client.result and jump_server.trailing_size == 11:
            jump_server.accept()
            assert jump_server.trailing_data() == b"first bytes"
        to_client = to_client[cut:] + jump_server.data_to_send()
        to_server = to_server[cut:] + client.data_to_send()
    assert client.result == TARGET
    assert jump_server.result == TunnelRequest(TARGET)
    assert client.trailing_data() == b""


def test_a_service_is_known_by_name_in_any_case() -> None:
    assert parse_destination("h:smtp") == Address("h", 25)
    assert parse_destination("h:HTTPS") == Address("h", 443)
