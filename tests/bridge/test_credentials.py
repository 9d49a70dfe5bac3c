"""User names and passwords."""

import hmac

import pytest

from netjumper.bridge.credentials import Credentials

USERS = Credentials({"alice": "open sesame", "bob": "pass:word", "zoë": "naïve"})


@pytest.mark.parametrize(
    ("user", "password"), [("alice", "open sesame"), ("bob", "pass:word"), ("zoë", "naïve")]
)
def test_known_user_with_the_correct_password_is_accepted(user: str, password: str) -> None:
    assert USERS.check(user.encode(), password.encode())


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (b"alice", b"pass:word"),
        (b"alice", b"open sesam"),
        (b"alice", b"open sesame "),
        (b"alice", b""),
        (b"Alice", b"open sesame"),
        (b"carol", b"open sesame"),
        (b"", b""),
        (b"\xff", b"\xff"),
    ],
)
def test_wrong_user_or_password_is_rejected(user: bytes, password: bytes) -> None:
    assert not USERS.check(user, password)


def test_every_password_is_rejected_without_users() -> None:
    assert not Credentials({}).check(b"", b"")


def test_every_known_user_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(_: bytes, known: bytes) -> bool:
        compared.append(known)
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert not USERS.check(b"alice", b"open sesame")
    known = [b"alice", b"open sesame", b"bob", b"pass:word", "zoë".encode(), "naïve".encode()]
    assert compared == known


def test_password_is_not_in_the_repr() -> None:
    assert "sesame" not in repr(USERS)


def test_password_from_the_environment_can_be_any_bytes() -> None:
    password = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert Credentials({"alice": password}).check(b"alice", b"\xff\xfe")
