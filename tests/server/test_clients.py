"""Clients: which one made an answer, and until when it has access."""

import hmac
from datetime import UTC, datetime, timedelta

import pytest

from netjumper.errors import AccessExpired
from netjumper.protocol.wire import answer_to
from netjumper.server import clients as clients_module
from netjumper.server.clients import Client, Clients, single_secret
from netjumper.server.guard import Guard

CHALLENGE = bytes(32)
NOW = datetime.now(UTC)


def client(name: str, *secrets: bytes, expires: datetime | None = None) -> Client:
    return Client(name=name, secrets=secrets, guard=Guard(), expires=expires)


def verified(clients: Clients, secret: bytes) -> str | None:
    return clients.verify(CHALLENGE, answer_to(CHALLENGE, secret))


def test_each_secret_identifies_its_client() -> None:
    clients = Clients([client("alice", b"one", b"two"), client("bob", b"three")])
    assert [verified(clients, it) for it in (b"one", b"two", b"three", b"four", b"")] == [
        "alice", "alice", "bob", None, None,
    ]  # fmt: skip


def test_a_client_with_the_single_secret_has_no_name() -> None:
    assert verified(single_secret(b"one", Guard()), b"one") == ""


@pytest.mark.parametrize("answer", [b"", b"\0" * 19, b"\0" * 20, b"\0" * 255])
def test_a_wrong_answer_of_any_length_is_rejected(answer: bytes) -> None:
    assert single_secret(b"one", Guard()).verify(CHALLENGE, answer) is None


@pytest.mark.parametrize("secret", [b"secret 0", b"secret 10", b"secret 19", b"wrong"])
def test_every_answer_is_compared_with_every_secret(monkeypatch, secret: bytes) -> None:
    compared = []

    class Watched:
        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            compared.append(other)
            return hmac.compare_digest(one, other)

    monkeypatch.setattr(clients_module, "hmac", Watched)
    clients = Clients(client(f"c{number}", f"secret {number}".encode()) for number in range(20))
    verified(clients, secret)
    assert len(set(compared)) == len(compared) == 20


def test_only_the_owner_of_an_expired_secret_gets_the_date() -> None:
    clients = Clients(
        [
            client("alice", b"one", expires=datetime(2020, 1, 31, tzinfo=UTC)),
            client("bob", b"two", expires=NOW + timedelta(days=1)),
        ]
    )
    with pytest.raises(AccessExpired, match=r"^access of alice ended 2020-01-31$"):
        verified(clients, b"one")
    assert verified(clients, b"two") == "bob"
    assert verified(clients, b"three") is None


def test_replaced_clients_are_unknown() -> None:
    clients = Clients([client("alice", b"one")])
    clients.replace([client("alice", b"two")])
    assert (verified(clients, b"one"), verified(clients, b"two")) == (None, "alice")
    with pytest.raises(KeyError):
        clients["bob"]
