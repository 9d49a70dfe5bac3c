"""The tree of errors: the types of each, pickling, and that none shows a secret."""

import errno
import pickle
import socket
from collections.abc import Iterator

import pytest

import netjumper.bridge
import netjumper.server
from netjumper import errors
from netjumper.client.jumper import Jumper
from netjumper.errors import (
    AccessExpired,
    AddressError,
    AnswerCut,
    AnswerTimeout,
    AuthenticationError,
    CredentialsMissing,
    HandshakeTimeout,
    HostUnreachable,
    InvalidTarget,
    JumpHostError,
    JumpHostProtocolError,
    JumpHostTimeout,
    JumpHostUnreachable,
    JumpHostUntrusted,
    NameLookupFailed,
    NameNotFound,
    NetjumperError,
    NetworkUnreachable,
    OutOfResources,
    ProtocolError,
    SettingsError,
    TargetBroke,
    TargetDenied,
    TargetError,
    TargetRefused,
    TargetTimeout,
    TooManyTunnels,
    WrongSecret,
)
from netjumper.protocol.handshake import EndOfStream
from netjumper.protocol.wire import ClientHandshake, ServerHandshake
from netjumper.server.clients import single_secret
from netjumper.server.guard import Guard
from tests.support.byte_splits import run

ALSO: dict[type[NetjumperError], tuple[type[Exception], ...]] = {
    AddressError: (ValueError,),
    SettingsError: (ValueError,),
    ProtocolError: (ConnectionError,),
    EndOfStream: (ProtocolError,),
    TargetBroke: (ProtocolError,),
    AnswerCut: (TargetBroke,),
    AnswerTimeout: (TargetBroke, TimeoutError),
    AccessExpired: (PermissionError,),
    AuthenticationError: (PermissionError,),
    CredentialsMissing: (PermissionError,),
    HandshakeTimeout: (TimeoutError,),
    JumpHostError: (ConnectionError,),
    JumpHostUnreachable: (JumpHostError, ConnectionError),
    JumpHostTimeout: (JumpHostError, TimeoutError),
    JumpHostProtocolError: (JumpHostError, ConnectionError),
    JumpHostUntrusted: (JumpHostError, PermissionError),
    WrongSecret: (JumpHostError, PermissionError),
    TargetError: (OSError,),
    TargetRefused: (TargetError, ConnectionRefusedError),
    TargetTimeout: (TargetError, TimeoutError),
    NetworkUnreachable: (TargetError,),
    HostUnreachable: (TargetError,),
    NameNotFound: (TargetError, socket.gaierror),
    NameLookupFailed: (TargetError, socket.gaierror),
    TargetDenied: (TargetError, PermissionError),
    OutOfResources: (TargetError,),
    TooManyTunnels: (TargetError,),
    InvalidTarget: (TargetError, ValueError),
}
SECRET = b"tell-no-one"


def kinds(parent: type[NetjumperError]) -> Iterator[type[NetjumperError]]:
    for child in parent.__subclasses__():
        yield child
        yield from kinds(child)


def test_the_table_knows_every_error_of_the_module() -> None:
    defined = {kind for kind in kinds(NetjumperError) if kind.__module__ == errors.__name__}
    assert defined == set(ALSO) - {EndOfStream}


@pytest.mark.parametrize(("kind", "parents"), ALSO.items(), ids=lambda value: str(value)[:40])
def test_an_error_is_also_the_builtin_that_fits(
    kind: type[NetjumperError], parents: tuple[type[Exception], ...]
) -> None:
    for parent in (NetjumperError, *parents):
        with pytest.raises(parent, match=r"^what happened$"):
            raise kind("what happened")


def test_three_parties_at_fault_have_their_own_types() -> None:
    for kind in kinds(NetjumperError):
        parties = (JumpHostError, TargetError, ProtocolError, AddressError)
        assert sum(issubclass(kind, party) for party in parties) <= 1, kind


@pytest.mark.parametrize("kind", ALSO)
def test_an_error_can_be_pickled(kind: type[NetjumperError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("what happened")))  # noqa: S301 - our own
    assert type(copy) is kind
    assert str(copy) == "what happened"


@pytest.mark.parametrize("kind", [kind for kind in ALSO if issubclass(kind, JumpHostError)])
def test_jump_host_error_can_name_the_address(kind: type[JumpHostError]) -> None:
    error = kind("it is closed").at("home.example.net:9527")
    assert type(error) is kind
    assert str(error) == "jump host home.example.net:9527: it is closed"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dial tcp 192.0.2.1:80: connect: connection refused", "connection refused"),
        ("dial tcp [2001:db8::1]:80: i/o timeout", "i/o timeout"),
        ("no reason given", "no reason given"),
        ("", "no reason given"),
        ("it ended with: ", "no reason given"),
    ],
)
def test_reason_is_the_text_after_the_address(text: str, reason: str) -> None:
    assert TargetError(text).reason == reason


def test_client_does_not_show_a_wrong_secret() -> None:
    handshake = ClientHandshake(SECRET)
    failed = run(handshake, [b"\x10" + b"c" * 16, b"\x01\x00"])
    assert failed.error is WrongSecret
    assert SECRET.decode() not in failed.text + repr(handshake)


def test_server_does_not_show_a_wrong_secret() -> None:
    handshake = ServerHandshake(single_secret(SECRET, Guard()).verify)
    failed = run(handshake, [b"\x14" + b"bad " * 5])
    assert failed.error is AuthenticationError
    assert SECRET.decode() not in failed.text + repr(handshake)
    assert SECRET not in failed.sent


def test_a_jumper_does_not_show_its_secret() -> None:
    assert repr(Jumper("home.example.net:9527", SECRET)) == "<Jumper home.example.net:9527>"


def test_every_name_the_package_promises_is_there() -> None:
    for name in netjumper.__all__:
        assert getattr(netjumper, name).__name__ == name


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (TargetRefused, errno.ECONNREFUSED),
        (TargetTimeout, errno.ETIMEDOUT),
        (NetworkUnreachable, errno.ENETUNREACH),
        (HostUnreachable, errno.EHOSTUNREACH),
        (NameNotFound, socket.EAI_NONAME),
        (NameLookupFailed, socket.EAI_AGAIN),
        (TargetDenied, errno.EACCES),
        (TooManyTunnels, errno.EAGAIN),
        (TargetError, None),
    ],
)
def test_a_target_error_has_the_number_of_its_builtin(
    error: type[TargetError], number: int | None
) -> None:
    assert error("dial tcp x: y").errno == number
    assert str(error("dial tcp x: y")) == "dial tcp x: y"
