"""The server side of SOCKS 5, 4 and 4a, for any split of its bytes."""

import socket
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.socks import SocksHandshake
from netjumper.errors import (
    AddressError,
    AuthenticationError,
    CredentialsMissing,
    HostUnreachable,
    JumpHostUnreachable,
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
    Run,
    accepted_before_refusal,
    end_after_each_byte,
    feed_all_splits,
    run,
)

CREDENTIALS = Credentials({"alice": "sesame"})
NO_AUTH, PASSWORD = b"\x05\x01\x00", b"\x05\x01\x02"
CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


def guarded() -> SocksHandshake:
    return SocksHandshake(CREDENTIALS)


def login(user: bytes, password: bytes, version: int = 1) -> bytes:
    return bytes((version, len(user))) + user + bytes((len(password),)) + password


def ask(host: str | bytes, port: int, command: int = CONNECT, version: int = 5) -> bytes:
    """Return a SOCKS5 request by name."""
    name = host if isinstance(host, bytes) else host.encode()
    return bytes((version, command, 0, 3, len(name))) + name + struct.pack("!H", port)


def ask_ip(host: str, port: int) -> bytes:
    """Return a SOCKS5 request by IPv4 or IPv6 address."""
    family, kind = (socket.AF_INET6, 4) if ":" in host else (socket.AF_INET, 1)
    return bytes((5, CONNECT, 0, kind)) + socket.inet_pton(family, host) + struct.pack("!H", port)


def ask4(host: str, port: int, user: bytes = b"", name: bytes = b"", command: int = 1) -> bytes:
    """Return a SOCKS4 request, or a 4a one if there is a name."""
    head = struct.pack("!BBH", 4, command, port) + socket.inet_aton(host) + user + b"\0"
    return head + name + b"\0" if name else head


def failed5(code: int) -> bytes:
    return bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0))


def answered(stream: bytes, answer: Callable[[SocksHandshake], None]) -> bytes:
    """Return the bytes sent in answer to the request in `stream`."""
    handshake = SocksHandshake()
    assert run(handshake, [stream]).result is not None
    answer(handshake)
    return handshake.data_to_send()


# --- SOCKS 5 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_bytes", "target"),
    [
        (ask("example.org", 443), Address("example.org", 443)),
        (ask("example.org.", 443), Address("example.org.", 443)),
        (ask(LONGEST, 65535), Address(LONGEST, 65535)),
        (ask("bücher.example", 80), Address("xn--bcher-kva.example", 80)),
        (ask("xn--bcher-kva.example", 80), Address("xn--bcher-kva.example", 80)),
        (ask("::1", 80), Address("::1", 80)),
        (ask("[2001:db8::1]", 80), Address("2001:db8::1", 80)),
        (ask_ip("192.0.2.1", 80), Address("192.0.2.1", 80)),
        (ask_ip("2001:db8::1", 1), Address("2001:db8::1", 1)),
    ],
)
def test_request_is_read_for_any_split_of_its_bytes(request_bytes: bytes, target: Address) -> None:
    ended = feed_all_splits(SocksHandshake, NO_AUTH + request_bytes)
    assert ended.result == TunnelRequest(target)
    assert ended.sent == b"\x05\x00"


def test_request_with_a_password_is_read_for_any_split_of_its_bytes() -> None:
    stream = b"\x05\x02\x00\x02" + login(b"alice", b"sesame") + ask("example.org", 443)
    ended = feed_all_splits(guarded, stream)
    assert ended.result == TunnelRequest(Address("example.org", 443), "alice")
    assert ended.sent == b"\x05\x02\x01\x00"


@pytest.mark.parametrize("methods", [b"", b"\x01", b"\x01\x03\x80\xfe", b"\xff"])
def test_greeting_without_an_acceptable_method_is_answered_ff(methods: bytes) -> None:
    ended = feed_all_splits(SocksHandshake, bytes((5, len(methods))) + methods)
    assert ended.error is CredentialsMissing
    assert ended.sent == b"\x05\xff"


def test_required_password_method_must_be_offered() -> None:
    ended = feed_all_splits(guarded, NO_AUTH)
    assert ended.error is CredentialsMissing
    assert ended.sent == b"\x05\xff"


def test_no_authentication_is_chosen_if_no_password_is_required() -> None:
    assert run(SocksHandshake(), [b"\x05\x03\x01\x02\x00"]).sent == b"\x05\x00"


def test_password_method_is_chosen_if_a_password_is_required() -> None:
    assert run(guarded(), [b"\x05\x03\x01\x00\x02"]).sent == b"\x05\x02"


def test_any_password_is_accepted_if_none_is_required() -> None:
    stream = PASSWORD + login(b"anyone", b"anything") + ask("example.org", 443)
    ended = feed_all_splits(SocksHandshake, stream)
    assert ended.result == TunnelRequest(Address("example.org", 443))
    assert ended.sent == b"\x05\x02\x01\x00"


@pytest.mark.parametrize(
    "attempt",
    [
        login(b"alice", b"sesam"),
        login(b"alice", b"sesame "),
        login(b"alice", b""),
        login(b"bob", b"sesame"),
        login(b"", b""),
        login(b"\xff" * 255, b"\xff" * 255),
    ],
)
def test_wrong_credentials_are_rejected(attempt: bytes) -> None:
    ended = feed_all_splits(guarded, PASSWORD + attempt)
    assert ended.error is AuthenticationError
    assert ended.sent == b"\x05\x02\x01\x01"
    assert "sesam" not in ended.text


@pytest.mark.parametrize("version", [0, 2, 5])
def test_other_version_of_the_password_negotiation_is_named(version: int) -> None:
    ended = feed_all_splits(guarded, PASSWORD + login(b"alice", b"open:sesame", version=version))
    assert ended.error is ProtocolError
    assert ended.text == f"the password negotiation has version {version}, not 1 (RFC 1929)"
    assert ended.sent == b"\x05\x02\x01\x01"


@pytest.mark.parametrize("command", [0, BIND, UDP_ASSOCIATE, 4, 255])
def test_other_commands_than_connect_are_answered_07(command: int) -> None:
    ended = feed_all_splits(SocksHandshake, NO_AUTH + ask("example.org", 443, command))
    assert ended.error is ProtocolError
    assert ended.sent == b"\x05\x00" + failed5(7)


@pytest.mark.parametrize("kind", [0, 2, 5, 255])
def test_unknown_address_types_are_answered_08(kind: int) -> None:
    ended = feed_all_splits(SocksHandshake, NO_AUTH + bytes((5, CONNECT, 0, kind)))
    assert ended.error is ProtocolError
    assert ended.sent == b"\x05\x00" + failed5(8)


def test_request_with_another_version_is_answered_01() -> None:
    ended = feed_all_splits(SocksHandshake, NO_AUTH + ask("example.org", 443, version=4)[:4])
    assert ended.error is ProtocolError
    assert ended.sent == b"\x05\x00" + failed5(1)


@pytest.mark.parametrize(
    "request_bytes",
    [
        ask("", 80),
        ask(".", 80),
        ask("a..b", 80),
        ask(".a", 80),
        ask("a b", 80),
        ask("a\0b", 80),
        ask("a\r\nb", 80),
        ask("a\x7f", 80),
        ask("[example.org]", 80),
        ask("fe80::1%\0", 80),
        ask("a" * 64, 80),
        ask("a." * 127 + "a", 80),
        ask(b"\xff\xfe", 80),
        ask("example.org", 0),
        ask_ip("192.0.2.1", 0),
        ask_ip("2001:db8::1", 0),
    ],
)
def test_invalid_target_is_rejected_before_any_result(request_bytes: bytes) -> None:
    ended = feed_all_splits(SocksHandshake, NO_AUTH + request_bytes)
    assert ended.error is AddressError
    assert ended.sent == b"\x05\x00" + failed5(1)


def test_success_is_sent_when_it_is_known() -> None:
    stream = NO_AUTH + ask("example.org", 443)
    assert answered(stream, SocksHandshake.accept) == failed5(0)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (TargetRefused, 5),
        (NetworkUnreachable, 3),
        (HostUnreachable, 4),
        (NameNotFound, 4),
        (TargetTimeout, 6),
        (TargetDenied, 2),
        (TargetError, 1),
        (WrongSecret, 1),
        (JumpHostUnreachable, 1),
    ],
)
def test_failure_is_sent_with_its_code(kind: type[NetjumperError], code: int) -> None:
    stream = NO_AUTH + ask("example.org", 443)
    assert answered(stream, lambda handshake: handshake.reject(kind("no"))) == failed5(code)


# --- SOCKS 4 and 4a -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (ask4("192.0.2.1", 80), TunnelRequest(Address("192.0.2.1", 80))),
        (ask4("192.0.2.1", 80, b"alice"), TunnelRequest(Address("192.0.2.1", 80))),
        (ask4("0.0.0.0", 80), TunnelRequest(Address("0.0.0.0", 80))),
        (ask4("0.0.1.1", 80), TunnelRequest(Address("0.0.1.1", 80))),
        (ask4("0.0.0.1", 80, name=b"example.org"), TunnelRequest(Address("example.org", 80))),
        (
            ask4("0.0.0.255", 443, b"u" * 255, "bücher.example".encode()),
            TunnelRequest(Address("xn--bcher-kva.example", 443)),
        ),
        (ask4("0.0.0.1", 1, name=LONGEST.encode()), TunnelRequest(Address(LONGEST, 1))),
    ],
)
def test_socks4_request_is_read_for_any_split_of_its_bytes(
    stream: bytes, expected: TunnelRequest
) -> None:
    ended = feed_all_splits(SocksHandshake, stream)
    assert ended.result == expected
    assert ended.sent == b""


def test_socks4_has_two_reply_codes() -> None:
    stream = ask4("192.0.2.1", 80)
    assert answered(stream, SocksHandshake.accept) == b"\x00\x5a" + bytes(6)
    refused = answered(stream, lambda handshake: handshake.reject(TargetRefused("no")))
    assert refused == b"\x00\x5b" + bytes(6)


@pytest.mark.parametrize(
    "stream",
    [
        ask4("192.0.2.1", 0),
        ask4("0.0.0.1", 80) + b"\0",
        ask4("0.0.0.1", 80, name=b"a b"),
        ask4("0.0.0.1", 80, name=b"a\n"),
        ask4("0.0.0.1", 80, name=b"a..b"),
        ask4("0.0.0.1", 0, name=b"example.org"),
        ask4("0.0.0.1", 80, name=b"a." * 127 + b"a"),
    ],
)
def test_invalid_socks4_target_is_rejected(stream: bytes) -> None:
    ended = feed_all_splits(SocksHandshake, stream)
    assert ended.error is AddressError
    assert ended.sent == b"\x00\x5b" + bytes(6)


@pytest.mark.parametrize("command", [0, BIND, UDP_ASSOCIATE, 255])
def test_other_socks4_commands_than_connect_are_rejected(command: int) -> None:
    ended = feed_all_splits(SocksHandshake, ask4("192.0.2.1", 80, command=command))
    assert ended.error is ProtocolError
    assert ended.sent == b"\x00\x5b" + bytes(6)


def test_socks4_is_rejected_if_a_password_is_required() -> None:
    ended = feed_all_splits(guarded, ask4("192.0.2.1", 80, b"alice"))
    assert ended.error is CredentialsMissing
    assert ended.sent == b"\x00\x5b" + bytes(6)


@pytest.mark.parametrize(
    "start", [ask4("192.0.2.1", 80)[:-1], ask4("0.0.0.1", 80)], ids=["user id", "name"]
)
def test_endless_socks4_field_is_rejected(start: bytes) -> None:
    handshake = SocksHandshake()
    handshake.receive_data(start)
    assert accepted_before_refusal(handshake, b"x", 1 << 20) == 255
    at_once = run(SocksHandshake(), [start + b"x" * 256 + b"\0"])
    assert at_once.error is ProtocolError
    assert at_once.sent == b"\x00\x5b" + bytes(6)


def test_endless_socks5_request_is_rejected() -> None:
    handshake = SocksHandshake()
    handshake.receive_data(b"\x05\xff" + bytes(255))
    assert accepted_before_refusal(handshake, b"\x05", 1 << 20) == 3


# --- other protocols ------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [b"hello\r\n", b"\0\0", b"\x06\0", b"@[", b"[@"])
def test_another_protocol_is_rejected_by_its_first_byte(stream: bytes) -> None:
    ended = feed_all_splits(SocksHandshake, stream)
    assert ended.error is ProtocolError
    assert ended.text == f"SOCKS begins with byte 4 or 5, not {stream[0]}"
    assert ended.sent == b""


@pytest.mark.parametrize(
    ("make", "stream"),
    [
        (SocksHandshake, NO_AUTH + ask("example.org", 443)),
        (SocksHandshake, NO_AUTH + ask_ip("2001:db8::1", 443)),
        (guarded, PASSWORD + login(b"alice", b"sesame") + ask("example.org", 443)),
        (SocksHandshake, ask4("192.0.2.1", 80, b"alice")),
        (SocksHandshake, ask4("0.0.0.1", 80, b"alice", b"example.org")),
    ],
)
def test_client_that_leaves_during_its_request_is_an_error(
    make: Callable[[], SocksHandshake], stream: bytes
) -> None:
    for ended in end_after_each_byte(make, stream):
        assert ended.error is EndOfStream


@given(
    st.sampled_from([SocksHandshake, guarded]),
    st.sampled_from([b"", NO_AUTH, PASSWORD, NO_AUTH + ask("a", 1)[:4], ask4("0.0.0.1", 1)]),
    st.lists(st.binary(min_size=1), max_size=8),
)
def test_garbage_never_causes_more_than_an_error(
    make: Callable[[], SocksHandshake], start: bytes, pieces: list[bytes]
) -> None:
    handshake = make()
    ended: Run = run(handshake, [*([start] if start else []), *pieces, b""])
    if ended.error is None:
        assert isinstance(ended.result, TunnelRequest)
        assert Address.parse(str(ended.result.target)) == ended.result.target
        handshake.reject(TargetError("no"))
