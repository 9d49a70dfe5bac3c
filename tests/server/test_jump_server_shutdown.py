"""How a jump server closes."""

import asyncio
import logging
import socket

import pytest

from netjumper.sessions import manager
from tests.support.peers import (
    connected,
    echo,
    eventually,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
    serving,
    unresponsive,
)
from tests.support.services import (
    AUTH_REFUSAL,
    answer,
    destination,
    request_tunnel,
)


async def test_closing_waits_for_tunnels_and_accepts_no_more(server):
    service, address = server
    async with serving(echo) as target:
        with await request_tunnel(address, target) as sock:
            assert await receive_exactly(sock, 1) == b"\0"
            closing = asyncio.create_task(service.close(grace=30.0))
            await eventually(lambda: service.listening == [])
            with pytest.raises(ConnectionRefusedError):
                await connected(address)
            await send(sock, b"still served")
            assert await receive_exactly(sock, 12) == b"still served"
            assert not closing.done()
            sock.shutdown(socket.SHUT_WR)
            assert await receive(sock) == b""
            assert await closing == 0


async def test_closing_aborts_tunnels_after_the_grace_period(server, caplog):
    service, address = server
    async with serving(echo) as target:
        with caplog.at_level(logging.INFO, "netjumper.access"):
            with await request_tunnel(address, target) as sock:
                assert await receive_exactly(sock, 1) == b"\0"
                assert await service.close(grace=0.05) == 1
                assert await receive_to_reset(sock) == b""
    assert [record.msg.ending for record in caplog.records] == ["shut down"]


@pytest.fixture
def accept_grace_s(monkeypatch):
    """Seconds for the handshakes of connections that came in just before the end."""
    monkeypatch.setattr(manager, "ACCEPT_GRACE_S", 0.1)
    return 0.1


async def test_closing_does_not_wait_for_a_connection_without_a_request(
    server, accept_grace_s, caplog
):
    service, address = server
    with await connected(address) as sock:
        assert len(await receive_exactly(sock, 33)) == 33
        assert await service.close(grace=30.0) == 0
        assert await receive_to_end(sock) == b""
    assert caplog.records == []


async def test_closing_does_not_wait_for_half_a_request(server, accept_grace_s, caplog):
    service, address = server
    with await connected(address) as sock:
        await send(sock, await answer(sock) + b"\x09exam")
        assert await receive_exactly(sock, 1) == b"\0"
        assert await service.close(grace=30.0) == 0
        assert await receive_to_reset(sock) == b""
    assert [record.msg.ending for record in caplog.records] == ["shut down"]


async def test_closing_finishes_the_handshake_of_a_new_connection(server):
    service, address = server
    async with serving(echo) as target:
        with await connected(address) as sock:
            await eventually(lambda: len(service.sessions) == 1)
            closing = asyncio.ensure_future(service.close(grace=30.0))
            await send(sock, await answer(sock) + destination(target.address))
            assert await receive_exactly(sock, 2) == b"\0\0"
        assert await closing == 0


async def test_closing_does_not_wait_for_the_handshake_of_an_old_connection(server, monkeypatch):
    monkeypatch.setattr(manager, "ACCEPT_GRACE_S", 3600.0)
    service, address = server
    with await connected(address):
        await eventually(lambda: len(service.sessions) == 1)
        service.sessions._last_accepted -= manager.ACCEPT_GRACE_S
        async with asyncio.timeout(10.0):
            assert await service.close(grace=3600.0) == 0


async def test_the_wait_for_handshakes_is_part_of_the_grace_period(
    server, accept_grace_s, monkeypatch
):
    waited, really_wait = [], asyncio.wait

    async def wait(futures, timeout):
        waited.append(timeout)
        reset(sock)
        await really_wait(futures)

    service, address = server
    async with serving(echo) as target:
        with await request_tunnel(address, target) as sock, await connected(address):
            assert await receive_exactly(sock, 1) == b"\0"
            await eventually(lambda: len(service.sessions) == 2)
            monkeypatch.setattr(manager.asyncio, "wait", wait)
            assert await service.close(grace=5.0) == 0
            monkeypatch.undo()
    assert 0 < waited[0] < 5.0 - accept_grace_s / 2


async def test_closing_logs_a_refused_client_only_once(server, caplog):
    service, address = server
    with await connected(address) as sock:
        await send(sock, await answer(sock, b"wrong"))
        assert await receive_to_end(sock) == AUTH_REFUSAL
        assert len(service.sessions.context.lingering) == 1
        assert await service.close(grace=30.0) == 0
    assert len(caplog.records) == 1


async def test_closing_waits_for_a_tunnel_that_is_being_opened(server):
    service, address = server
    with unresponsive() as target:
        with await request_tunnel(address, target) as sock:
            await eventually(lambda: service.sessions.waiting == 1)
            assert await service.close(grace=0.05) == 1
            assert await receive_to_reset(sock) == b""
