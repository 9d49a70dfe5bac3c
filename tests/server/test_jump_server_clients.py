"""What each client of a jump server can do, tested through its sockets."""

import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.target_rules import Rule
from netjumper.server.clients import Client, Clients, single_secret
from netjumper.server.guard import Guard
from netjumper.server.jump_server import jump_server
from netjumper.sessions.admission import AdmissionLimits
from netjumper.sessions.service import Service
from tests.support.peers import (
    connected,
    echo,
    eventually,
    receive_exactly,
    receive_to_end,
    send,
    serving,
)
from tests.support.services import (
    LOCAL_TARGETS,
    LOOPBACK,
    SECRET,
    answer,
    destination,
    getaddrinfo,
    jump_server_running,
    resolver,
)

ALICE, BOB = b"the secret of alice", b"the secret of bob"


@contextlib.asynccontextmanager
async def limited(
    clients: Clients | None = None, **limits: Any
) -> AsyncIterator[tuple[Service, Address]]:
    async with jump_server_running(
        clients=clients or single_secret(SECRET, LOCAL_TARGETS), admission=AdmissionLimits(**limits)
    ) as running:
        yield running


async def echoed(sock: socket.socket) -> bool:
    await send(sock, b"hello")
    return await receive_exactly(sock, 5) == b"hello"


async def let_in(address: Address, secret: bytes, target: Address) -> socket.socket:
    sock = await connected(address)
    await send(sock, await answer(sock, secret) + destination(target))
    return sock


async def test_client_authenticates_with_its_secret_and_is_named_in_the_log(caplog):
    caplog.set_level("INFO", "netjumper.access")
    clients = Clients(
        [
            Client(name="alice", secrets=(ALICE, b"alice's next"), guard=LOCAL_TARGETS),
            Client(name="bob", secrets=(BOB,), guard=LOCAL_TARGETS),
        ]
    )
    async with serving(echo) as target, limited(clients) as (_, address):
        for secret in (ALICE, b"alice's next", BOB):
            with await let_in(address, secret, target.address) as sock:
                assert await receive_exactly(sock, 2) == b"\0\0"
        await eventually(lambda: len(caplog.records) == 3)
    assert [record.msg.client for record in caplog.records] == ["alice", "alice", "bob"]


async def test_expired_client_is_refused_but_neither_delayed_nor_banned():
    expired = Client(
        name="alice",
        secrets=(ALICE,),
        guard=LOCAL_TARGETS,
        expires=datetime(2020, 2, 1, tzinfo=UTC),
    )
    async with limited(Clients([expired]), auth_failures=1) as (_, address):
        for _ in range(3):
            with await connected(address) as sock:
                await send(sock, await answer(sock, ALICE))
                assert (await receive_to_end(sock))[2:] == b"access of alice ended 2020-02-01"


async def test_each_client_has_its_own_guard():
    only_here = Guard([Rule.parse("127.0.0.1")])
    clients = Clients(
        [
            Client(name="alice", secrets=(ALICE,), guard=only_here),
            Client(name="bob", secrets=(BOB,), guard=Guard()),
        ]
    )
    async with serving(echo) as target, limited(clients) as (_, address):
        with await let_in(address, ALICE, target.address) as sock:
            assert await receive_exactly(sock, 2) == b"\0\0"
        with await let_in(address, BOB, target.address) as sock:
            assert b"refused by a rule, not permitted" in await receive_to_end(sock)
        assert await target.connection_count() == 1


async def test_each_client_has_its_own_limit_on_tunnels():
    clients = Clients(
        [
            Client(name="alice", secrets=(ALICE,), guard=LOCAL_TARGETS, max_tunnels=1),
            Client(name="bob", secrets=(BOB,), guard=LOCAL_TARGETS),
        ]
    )
    async with serving(echo) as target, limited(clients) as (_, address):
        with await let_in(address, ALICE, target.address) as first:
            assert await receive_exactly(first, 2) == b"\0\0"
            with await let_in(address, ALICE, target.address) as second:
                assert b"limit of 1 per client reached" in await receive_to_end(second)
            with await let_in(address, BOB, target.address) as other:
                assert await receive_exactly(other, 2) == b"\0\0"


async def test_a_client_whose_look_ups_hang_does_not_block_another():
    clients = Clients(
        [
            Client(name="alice", secrets=(ALICE,), guard=LOCAL_TARGETS),
            Client(name="bob", secrets=(BOB,), guard=LOCAL_TARGETS),
        ]
    )
    answered = threading.Event()

    def find(host: str, port: int, **_: Any) -> list[Any]:
        if host != "target.example":
            answered.wait()
        return getaddrinfo("target.example", port)

    async with serving(echo) as target:
        hangs = [Address(f"hangs{number}.example", target.address.port) for number in range(300)]
        named = Address("target.example", target.address.port)
        async with jump_server_running(clients=clients, resolver=resolver(find)) as (_, address):
            with contextlib.ExitStack() as stack:
                for it in hangs:
                    stack.enter_context(await let_in(address, ALICE, it))
                with await let_in(address, BOB, named) as sock:
                    assert await receive_exactly(sock, 2) == b"\0\0"
                    assert await echoed(sock)
                with await let_in(address, ALICE, target.address) as sock:
                    assert await receive_exactly(sock, 2) == b"\0\0"  # an address needs no look-up
                answered.set()


async def test_the_tunnels_of_a_client_share_its_bandwidth_which_can_change():
    clients = Clients([Client(name="alice", secrets=(ALICE,), guard=LOCAL_TARGETS, bandwidth=1e9)])
    async with serving(echo) as target, limited(clients) as (service, address):
        with await let_in(address, ALICE, target.address) as tunnel:
            assert await receive_exactly(tunnel, 2) == b"\0\0"
            account = service.sessions.context.admission.account_of("alice")
            assert account is not None
            bandwidth = account.bandwidth
            assert bandwidth is not None
            assert await echoed(tunnel)
            bandwidth.set_rate(1.0)
            bandwidth.spend(1_000_000)
            await send(tunnel, b"hello")
            await eventually(lambda: bool(bandwidth._waiting))
            clients.replace(
                [Client(name="alice", secrets=(ALICE,), guard=LOCAL_TARGETS, bandwidth=1e9)]
            )
            with await let_in(address, ALICE, target.address) as second:
                assert await receive_exactly(second, 2) == b"\0\0"
                assert await receive_exactly(tunnel, 5) == b"hello"
            assert account.bandwidth is bandwidth


async def test_the_limits_of_a_client_can_change_while_it_has_tunnels():
    clients = Clients([Client(name="alice", secrets=(ALICE,), guard=LOCAL_TARGETS)])
    async with serving(echo) as target, limited(clients) as (_, address):
        with await let_in(address, ALICE, target.address) as tunnel:
            assert await receive_exactly(tunnel, 2) == b"\0\0"
            changed = Client(name="alice", secrets=(ALICE,), guard=LOCAL_TARGETS, max_tunnels=1)
            clients.replace([changed])
            with await let_in(address, ALICE, target.address) as second:
                assert b"limit of 1 per client reached" in await receive_to_end(second)
            assert await echoed(tunnel)


@pytest.mark.parametrize(
    ("since", "message"),
    [
        ([], "this client's secret was removed"),
        (
            [Client(name="alice", secrets=(BOB,), guard=LOCAL_TARGETS)],
            "this client's secret was removed",
        ),
        (
            [
                Client(
                    name="alice",
                    secrets=(ALICE,),
                    guard=LOCAL_TARGETS,
                    expires=datetime(2026, 1, 1, tzinfo=UTC),
                )
            ],
            "access of alice ended 2026-01-01",
        ),
    ],
    ids=["removed", "another secret", "expired"],
)
async def test_a_client_removed_while_it_is_parked_reaches_no_target(since, message):
    clients = Clients([Client(name="alice", secrets=(ALICE,), guard=LOCAL_TARGETS)])
    async with serving(echo) as target, limited(clients) as (_, address):
        with await connected(address) as parked:
            await send(parked, await answer(parked, ALICE))
            assert await receive_exactly(parked, 1) == b"\0"
            clients.replace(since)
            await send(parked, destination(target.address))
            assert message.encode() in await receive_to_end(parked)
        assert await target.connection_count() == 0


async def test_a_parked_client_is_the_current_owner_of_its_secret(caplog):
    clients = Clients([Client(name="alice", secrets=(ALICE,), guard=LOCAL_TARGETS)])
    async with serving(echo) as target, limited(clients) as (_, address):
        with await connected(address) as parked:
            await send(parked, await answer(parked, ALICE))
            assert await receive_exactly(parked, 1) == b"\0"
            clients.replace([Client(name="bob", secrets=(ALICE,), guard=Guard())])
            await send(parked, destination(target.address))
            assert b"not permitted" in await receive_to_end(parked)


def test_the_repr_of_a_client_has_no_secret():
    assert "secret of alice" not in repr(Client(name="a", secrets=(ALICE,), guard=LOCAL_TARGETS))


async def test_tls_without_encryption_is_refused():
    with pytest.raises(ValueError, match="listen_tls needs encryption"):
        jump_server(listen_tls=[LOOPBACK], clients=single_secret(SECRET, LOCAL_TARGETS))
