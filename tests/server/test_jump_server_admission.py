"""Limits and bans of a jump server, tested through its sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.net.endpoint import RESET_TIMEOUT_S, Endpoint
from netjumper.server.clients import Clients, single_secret
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
    AUTH_REFUSAL,
    LOCAL_TARGETS,
    SECRET,
    answer,
    destination,
    jump_server_running,
    refusal,
    request_tunnel,
)


@contextlib.asynccontextmanager
async def limited(
    clients: Clients | None = None, **limits: Any
) -> AsyncIterator[tuple[Service, Address]]:
    async with jump_server_running(
        clients=clients or single_secret(SECRET, LOCAL_TARGETS), admission=AdmissionLimits(**limits)
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
            with await request_tunnel(address, target.address) as sock:
                assert await receive_exactly(sock, 1) == b"\0"
                assert await echoed(sock)
            assert len(service.sessions) <= 101


async def test_evicted_connection_is_reset_immediately(monkeypatch):
    monkeypatch.setattr(Endpoint, "unacknowledged", lambda _: 33)  # its peer sends no ACK
    async with limited(unauthenticated=1) as (_, address):
        with await connected(address) as gone, await connected(address):
            async with asyncio.timeout(RESET_TIMEOUT_S / 2):
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
                assert await receive_exactly(sock, len(AUTH_REFUSAL)) == AUTH_REFUSAL
            await eventually(lambda: len(service.sessions.context.lingering) == 2)
            stack.enter_context(await connected(address))
            await eventually(lambda: len(service.sessions.context.lingering) == 1)


async def test_the_limit_on_tunnels_is_exact():
    async with serving(echo) as target, limited(tunnels=5) as (service, address):
        with contextlib.ExitStack() as stack:
            socks = [
                stack.enter_context(await request_tunnel(address, target.address)) for _ in range(5)
            ]
            for sock in socks:
                assert await receive_exactly(sock, 1) == b"\0"
            message = await refusal(address, target.address)
            assert message == (
                f"dial tcp {target.address}: limit of 5 in total reached, too many tunnels"
            )
            assert all([await echoed(sock) for sock in socks])
            assert service.sessions.context.admission.tunnels == 5
            socks.pop().close()
            await eventually(lambda: service.sessions.context.admission.tunnels == 4)
            with await request_tunnel(address, target.address) as sock:
                assert await receive_exactly(sock, 1) == b"\0"
                assert await echoed(sock)


async def test_a_failed_tunnel_is_not_counted_any_longer():
    async with limited(tunnels=1) as (service, address):
        for _ in range(3):
            assert "connection refused" in await refusal(address, closed_port())
        await eventually(lambda: service.sessions.context.admission.tunnels == 0)


async def test_a_client_that_is_being_refused_has_no_tunnel():
    async with serving(echo) as target, limited(tunnels=1) as (service, address):
        with await request_tunnel(address, closed_port()) as refused:
            assert await receive_exactly(refused, 1) == b"\1"
            with await request_tunnel(address, target.address) as sock:
                assert await receive_exactly(sock, 1) == b"\0"
                assert service.sessions.context.admission.tunnels == 1


async def test_only_the_first_failed_authentication_is_refused_immediately(monkeypatch):
    monkeypatch.setattr(manager, "REFUSAL_DELAY_S", 3600.0)
    async with limited(auth_failures=10) as (service, address):
        assert await wrongly_answered(address) == AUTH_REFUSAL
        with await connected(address) as sock:
            await send(sock, await answer(sock, b"wrong"))
            await eventually(lambda: len(service.sessions.context.handshakes.delayed_refusals) == 1)
        assert await wrongly_answered(address, "127.0.0.2") == AUTH_REFUSAL


async def test_a_delayed_refusal_is_sent(monkeypatch):
    monkeypatch.setattr(manager, "REFUSAL_DELAY_S", 0.01)
    async with limited(auth_failures=10) as (_, address):
        assert [await wrongly_answered(address) for _ in range(3)] == [AUTH_REFUSAL] * 3


async def test_failed_authentications_ban_the_source_and_its_tunnels_go_on(monkeypatch):
    monkeypatch.setattr(manager, "REFUSAL_DELAY_S", 0.0)
    async with serving(echo) as target, limited(auth_failures=3) as (_, address):
        with await request_tunnel(address, target.address) as tunnel:
            assert await receive_exactly(tunnel, 1) == b"\0"
            for _ in range(3):
                assert await wrongly_answered(address) == AUTH_REFUSAL
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


async def test_data_that_arrives_while_a_tunnel_waits_for_bandwidth_reaches_its_target():
    async with serving(echo) as target, limited(bandwidth=200_000) as (service, address):
        with (
            await request_tunnel(address, target.address) as other,
            await connected(address) as sock,
        ):
            assert await receive_exactly(other, 1) == b"\0"
            bandwidth = service.sessions.context.admission.account_of("").bandwidth
            assert bandwidth is not None
            bandwidth.spend(100_000)  # no direction has a turn for half a second
            await send(sock, await answer(sock) + destination(target.address) + b"first")
            assert await receive_exactly(sock, 2) == b"\0\0"
            await send(sock, b", and then")
            assert await receive_exactly(sock, 15) == b"first, and then"


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\nHost: home\r\n\r\n" * 9, b"\x16\x03\x01" * 99]
)
async def test_another_protocol_is_not_a_failed_authentication(first):
    async with limited(auth_failures=1) as (_, address):
        for _ in range(3):
            with await connected(address) as sock:
                await receive_exactly(sock, 33)
                await send(sock, first)
                assert await receive_to_end(sock) == AUTH_REFUSAL
