"""Who comes in, how many, and where each client may go: with sockets."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.target_rules import Rule
from netjumper.net.endpoint import RESET_PATIENCE, Endpoint
from netjumper.server.clients import Client, Clients, single_secret
from netjumper.server.guard import Guard
from netjumper.server.jump_server import jump_server
from netjumper.sessions import manager
from netjumper.sessions.admission import AdmissionLimits
from netjumper.sessions.service import Service
from tests.support.peers import (
    closed_port,
    connected,
    echo,
    eventually,
    receive,
    receive_exactly,
    receive_to_end,
    send,
    serving,
)
from tests.support.services import (
    AT_HOME,
    LOOPBACK,
    SECRET,
    answer,
    asked,
    destination,
    getaddrinfo,
    jump_server_running,
    refusal,
    resolver,
)

ALICE, BOB = b"the secret of alice", b"the secret of bob"
REFUSED = b"\x01\x1echallenge failed, check secret"


@contextlib.asynccontextmanager
async def limited(
    clients: Clients | None = None, **limits: Any
) -> AsyncIterator[tuple[Service, Address]]:
    async with jump_server_running(
        clients=clients or single_secret(SECRET, AT_HOME), admission=AdmissionLimits(**limits)
    ) as running:
        yield running


async def connected_from(source: str, address: Address) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind((source, 0))
    await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
    return sock


async def wrongly_answered(address: Address, source: str = "127.0.0.1") -> bytes:
    with await connected_from(source, address) as sock:
        await send(sock, await answer(sock, b"wrong"))
        return await receive_to_end(sock)


async def echoed(sock: socket.socket) -> bool:
    await send(sock, b"hello")
    return await receive_exactly(sock, 5) == b"hello"


async def let_in(address: Address, secret: bytes, target: Address) -> socket.socket:
    sock = await connected(address)
    await send(sock, await answer(sock, secret) + destination(target))
    return sock


async def test_a_thousand_silent_connections_do_not_block_a_client():
    async with serving(echo) as target, limited(unauthenticated=100) as (service, address):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(1000):
                sock = await connected_from("127.0.0.9", address)
                stack.enter_context(sock)
            await eventually(lambda: len(service.sessions) == 100)
            with await asked(address, target.address) as sock:
                assert await receive_exactly(sock, 1) == b"\0"
                assert await echoed(sock)
            assert len(service.sessions) <= 101


async def test_evicted_connection_is_reset_immediately(monkeypatch):
    monkeypatch.setattr(Endpoint, "unacknowledged", lambda _: 33)  # its peer sends no ACK
    async with limited(unauthenticated=1) as (_, address):
        with await connected(address) as gone, await connected(address):
            async with asyncio.timeout(RESET_PATIENCE / 2):
                with pytest.raises(ConnectionResetError):
                    await receive_to_end(gone)


async def test_a_parked_connection_is_never_evicted():
    async with serving(echo) as target, limited(unauthenticated=2) as (service, address):
        with await connected(address) as parked:
            await send(parked, await answer(parked))
            assert await receive_exactly(parked, 1) == b"\0"
            with contextlib.ExitStack() as stack:
                for _ in range(10):
                    stack.enter_context(await connected(address))
                await eventually(lambda: len(service.sessions) == 3)
                await send(parked, destination(target.address))
                assert await receive_exactly(parked, 1) == b"\0"
                assert await echoed(parked)


async def test_a_tunnel_is_never_evicted():
    async with serving(echo) as target, limited(unauthenticated=1) as (service, address):
        with await let_in(address, SECRET, target.address) as tunnel:
            assert await receive_exactly(tunnel, 2) == b"\0\0"
            with contextlib.ExitStack() as stack:
                for _ in range(3):
                    stack.enter_context(await connected(address))
                await eventually(lambda: len(service.sessions) == 2)
                assert await echoed(tunnel)


async def test_a_lingering_refused_connection_still_counts_as_pending():
    async with limited(unauthenticated=2) as (service, address):
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(await connected(address)) for _ in range(2)]
            for sock in socks:
                await send(sock, await answer(sock, b"wrong"))
                assert await receive_exactly(sock, len(REFUSED)) == REFUSED
            await eventually(lambda: len(service.sessions.context.lingering) == 2)
            stack.enter_context(await connected(address))
            await eventually(lambda: len(service.sessions.context.lingering) == 1)


async def test_the_limit_on_tunnels_is_exact():
    async with serving(echo) as target, limited(tunnels=5) as (service, address):
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(await asked(address, target.address)) for _ in range(5)]
            for sock in socks:
                assert await receive_exactly(sock, 1) == b"\0"
            told = await refusal(address, target.address)
            assert told == (
                f"dial tcp {target.address}: limit of 5 in total reached, too many tunnels"
            )
            assert all([await echoed(sock) for sock in socks])
            assert service.sessions.context.admission.tunnels == 5
            socks.pop().close()
            await eventually(lambda: service.sessions.context.admission.tunnels == 4)
            with await asked(address, target.address) as sock:
                assert await receive_exactly(sock, 1) == b"\0"
                assert await echoed(sock)


async def test_a_failed_tunnel_is_not_counted_any_longer():
    async with limited(tunnels=1) as (service, address):
        for _ in range(3):
            assert "connection refused" in await refusal(address, closed_port())
        await eventually(lambda: service.sessions.context.admission.tunnels == 0)


async def test_a_client_that_is_being_refused_has_no_tunnel():
    async with serving(echo) as target, limited(tunnels=1) as (service, address):
        with await asked(address, closed_port()) as refused:
            assert await receive_exactly(refused, 1) == b"\1"
            with await asked(address, target.address) as sock:
                assert await receive_exactly(sock, 1) == b"\0"
                assert service.sessions.context.admission.tunnels == 1


async def test_the_first_failed_authentication_is_refused_immediately_and_later_ones_with_delay(
    monkeypatch,
):
    monkeypatch.setattr(manager, "REFUSAL_DELAY_S", 3600.0)
    async with limited(auth_failures=10) as (service, address):
        assert await wrongly_answered(address) == REFUSED
        with await connected(address) as sock:
            await send(sock, await answer(sock, b"wrong"))
            await eventually(lambda: len(service.sessions.context.handshakes.delayed_refusals) == 1)
        assert await wrongly_answered(address, "127.0.0.2") == REFUSED


async def test_a_delayed_refusal_is_sent(monkeypatch):
    monkeypatch.setattr(manager, "REFUSAL_DELAY_S", 0.01)
    async with limited(auth_failures=10) as (_, address):
        assert [await wrongly_answered(address) for _ in range(3)] == [REFUSED] * 3


async def test_failed_authentications_ban_the_source_and_its_tunnels_go_on(monkeypatch):
    monkeypatch.setattr(manager, "REFUSAL_DELAY_S", 0.0)
    async with serving(echo) as target, limited(auth_failures=3) as (_, address):
        with await asked(address, target.address) as tunnel:
            assert await receive_exactly(tunnel, 1) == b"\0"
            for _ in range(3):
                assert await wrongly_answered(address) == REFUSED
            with pytest.raises(ConnectionResetError):
                with await connected(address) as sock:
                    await receive_exactly(sock, 1)
            assert await echoed(tunnel)
            with await connected_from("127.0.0.2", address) as sock:
                assert len(await receive_exactly(sock, 33)) == 33


async def test_connections_accepted_before_a_ban_cannot_guess_on(caplog):
    async with limited(auth_failures=2) as (_, address):
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(await connected(address)) for _ in range(20)]
            answers = [await answer(sock, b"wrong") for sock in socks[1:]]
            right = await answer(socks[0])
            for sock, wrong in zip(socks[1:], answers, strict=True):
                with contextlib.suppress(OSError):
                    await send(sock, wrong)
            with contextlib.suppress(ConnectionError):  # whether it is met here or there
                await send(socks[0], right)
                assert await receive(socks[0]) == b""
    ban_time = "banned 127.0.0.1 for 60 s after 2 failed authentications, last from 127.0.0.1"
    assert caplog.messages.count(ban_time) == 1
    assert not any("120 s" in it for it in caplog.messages)


async def test_each_client_authenticates_with_its_own_secret_and_is_named_in_the_log(caplog):
    caplog.set_level("INFO", "netjumper.access")
    clients = Clients(
        [
            Client(name="alice", secrets=(ALICE, b"alice's next"), guard=AT_HOME),
            Client(name="bob", secrets=(BOB,), guard=AT_HOME),
        ]
    )
    async with serving(echo) as target, limited(clients) as (_, address):
        for secret in (ALICE, b"alice's next", BOB):
            with await let_in(address, secret, target.address) as sock:
                assert await receive_exactly(sock, 2) == b"\0\0"
        await eventually(lambda: len(caplog.records) == 3)
    assert [record.msg.client for record in caplog.records] == ["alice", "alice", "bob"]


async def test_an_expired_client_is_refused_with_that_reason_and_neither_delayed_nor_banned():
    expired = Client(
        name="alice", secrets=(ALICE,), guard=AT_HOME, expires=datetime(2020, 2, 1, tzinfo=UTC)
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
            assert b"this machine (127.0.0.1), not permitted" in await receive_to_end(sock)
        assert await target.came() == 1


async def test_each_client_has_its_own_limit_on_tunnels():
    clients = Clients(
        [
            Client(name="alice", secrets=(ALICE,), guard=AT_HOME, max_tunnels=1),
            Client(name="bob", secrets=(BOB,), guard=AT_HOME),
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
            Client(name="alice", secrets=(ALICE,), guard=AT_HOME),
            Client(name="bob", secrets=(BOB,), guard=AT_HOME),
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
                    assert await receive_exactly(sock, 2) == b"\0\0"  # an address asks nobody
                answered.set()


async def test_the_tunnels_of_a_client_share_its_bandwidth_which_can_change():
    clients = Clients([Client(name="alice", secrets=(ALICE,), guard=AT_HOME, bandwidth=1e9)])
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
            clients.replace([Client(name="alice", secrets=(ALICE,), guard=AT_HOME, bandwidth=1e9)])
            with await let_in(address, ALICE, target.address) as second:
                assert await receive_exactly(second, 2) == b"\0\0"
                assert await receive_exactly(tunnel, 5) == b"hello"
            assert account.bandwidth is bandwidth


async def test_the_limits_of_a_client_can_change_while_it_has_tunnels():
    clients = Clients([Client(name="alice", secrets=(ALICE,), guard=AT_HOME)])
    async with serving(echo) as target, limited(clients) as (_, address):
        with await let_in(address, ALICE, target.address) as tunnel:
            assert await receive_exactly(tunnel, 2) == b"\0\0"
            changed = Client(name="alice", secrets=(ALICE,), guard=AT_HOME, max_tunnels=1)
            clients.replace([changed])
            with await let_in(address, ALICE, target.address) as second:
                assert b"limit of 1 per client reached" in await receive_to_end(second)
            assert await echoed(tunnel)


async def test_data_that_arrives_while_a_tunnel_waits_for_bandwidth_reaches_its_target():
    async with serving(echo) as target, limited(bandwidth=200_000) as (service, address):
        with await asked(address, target.address) as other, await connected(address) as sock:
            assert await receive_exactly(other, 1) == b"\0"
            bandwidth = service.sessions.context.admission.account_of("").bandwidth
            assert bandwidth is not None
            bandwidth.spend(100_000)  # nobody's turn for half a second
            await send(sock, await answer(sock) + destination(target.address) + b"first")
            assert await receive_exactly(sock, 2) == b"\0\0"
            await send(sock, b", and then")
            assert await receive_exactly(sock, 15) == b"first, and then"


@pytest.mark.parametrize(
    ("since", "told"),
    [
        ([], "the secret is known no more"),
        ([Client(name="alice", secrets=(BOB,), guard=AT_HOME)], "the secret is known no more"),
        (
            [
                Client(
                    name="alice",
                    secrets=(ALICE,),
                    guard=AT_HOME,
                    expires=datetime(2026, 1, 1, tzinfo=UTC),
                )
            ],
            "access of alice ended 2026-01-01",
        ),
    ],
    ids=["nobody", "another secret", "expired"],
)
async def test_a_client_removed_while_it_is_parked_reaches_no_target(since, told):
    clients = Clients([Client(name="alice", secrets=(ALICE,), guard=AT_HOME)])
    async with serving(echo) as target, limited(clients) as (_, address):
        with await connected(address) as parked:
            await send(parked, await answer(parked, ALICE))
            assert await receive_exactly(parked, 1) == b"\0"
            clients.replace(since)
            await send(parked, destination(target.address))
            assert told.encode() in await receive_to_end(parked)
        assert await target.came() == 0


async def test_a_parked_client_is_the_current_owner_of_its_secret(caplog):
    clients = Clients([Client(name="alice", secrets=(ALICE,), guard=AT_HOME)])
    async with serving(echo) as target, limited(clients) as (_, address):
        with await connected(address) as parked:
            await send(parked, await answer(parked, ALICE))
            assert await receive_exactly(parked, 1) == b"\0"
            clients.replace([Client(name="bob", secrets=(ALICE,), guard=Guard())])
            await send(parked, destination(target.address))
            assert b"not permitted" in await receive_to_end(parked)


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\nHost: home\r\n\r\n" * 9, b"\x16\x03\x01" * 99]
)
async def test_another_protocol_is_not_a_failed_authentication(first):
    async with limited(auth_failures=1) as (_, address):
        for _ in range(3):
            with await connected(address) as sock:
                await receive_exactly(sock, 33)
                await send(sock, first)
                assert await receive_to_end(sock) == REFUSED


def test_the_repr_of_a_client_has_no_secret():
    assert "secret of alice" not in repr(Client(name="a", secrets=(ALICE,), guard=AT_HOME))


async def test_tls_without_encryption_is_refused():
    with pytest.raises(ValueError, match="listen_tls needs encryption"):
        jump_server(listen_tls=[LOOPBACK], clients=single_secret(SECRET, AT_HOME))
