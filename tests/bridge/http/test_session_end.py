"""Slow clients, idle connections and shutdown of plain HTTP sessions."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import pytest

from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http import session
from netjumper.sessions.manager import TunnelLimits
from netjumper.sessions.service import Service
from tests.support.forwarded_requests import OK, connected_to, receive_until, request, web
from tests.support.peers import (
    Peer,
    echo,
    eventually,
    nothing_to_receive,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    send,
    serving,
    settled,
)
from tests.support.services import bridge_running, jump_server_running

SMALL = 8 * 1024
LARGE = session.MAX_BUFFERED_BYTES // 2
"""Bytes that the bridge must buffer for a client with small socket buffers."""


def small_buffers(service: Service) -> None:
    """Make the kernel buffer few bytes for a client that does not read."""
    for _, listener in service._listeners:
        listener._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)


@pytest.fixture
def no_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable splicing: the jump server keeps its pipes, which would look like leaks."""
    monkeypatch.setattr("netjumper.relay.splice.CAN_SPLICE", False)


async def test_bodies_are_streamed_and_never_buffered_whole(no_pipes, service):
    size = 128 * 1024 * 1024
    go_on = asyncio.Event()
    got = 0

    async def take_slowly(sock: socket.socket) -> None:
        nonlocal got
        got = -len(f"PUT / HTTP/1.1\r\nHost: {target.address}\r\nContent-Length: {size}\r\n")
        got -= len("Via: 1.1 netjumper-bridge-12345678\r\n\r\n")
        await go_on.wait()
        while got < size:
            got += len(await receive(sock))
        await send(sock, OK)

    async with serving(take_slowly) as target:
        with await connected_to(service) as sock:
            await send(sock, request(target.address, "/", f"Content-Length: {size}", method="PUT"))
            sent = 0
            block = bytes(65536)

            async def pour() -> None:
                nonlocal sent
                while sent < size:
                    await send(sock, block)
                    sent += len(block)

            pouring = asyncio.ensure_future(pour())
            await eventually(lambda: sent > 0)
            assert await settled(lambda: sent) < size
            go_on.set()
            await pouring
            await receive_until(sock, b"ok")
    assert got == size


async def test_client_that_does_not_read_its_answer_stops_the_target(no_pipes, service):
    size = 64 * 1024 * 1024
    sent = 0

    async def pour(sock: socket.socket) -> None:
        nonlocal sent
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        block = bytes(65536)
        while sent < size:
            await send(sock, block)
            sent += len(block)

    async with serving(pour) as target:
        with await connected_to(service) as sock:
            await send(sock, request(target.address))
            await eventually(lambda: sent > 0)
            assert await settled(lambda: sent) < size
            head = await receive_exactly(sock, 200)
            body = 200 - head.index(b"\r\n\r\n") - 4
            while body < size:
                body += len(await receive(sock))
    assert body == size


async def test_bytes_after_the_last_answer_are_not_buffered_without_limit(service, monkeypatch):
    monkeypatch.setattr(session, "READ_SIZE", SMALL)
    small_buffers(service)
    too_much = 16 * 1024 * 1024
    sent = 0

    async def answer(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, b"HTTP/1.0 200 OK\r\n\r\n" + bytes(session.MAX_BUFFERED_BYTES // 2))

    async def pour(sock: socket.socket) -> None:
        nonlocal sent
        while sent < too_much:
            await send(sock, bytes(65536))
            sent += 65536

    async with serving(answer) as target:
        with await connected_to(service) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            await send(sock, request(target.address, "/", "Connection: close"))
            await receive(sock, 1)
            pouring = asyncio.ensure_future(pour(sock))
            assert await settled(lambda: sent) < too_much
            pouring.cancel()
            await asyncio.wait([pouring])


async def test_idle_client_connection_is_closed(monkeypatch):
    monkeypatch.setattr("netjumper.bridge.bridge.KEEP_ALIVE_S", 0.05)
    async with (
        jump_server_running() as (_, address),
        bridge_running(address) as service,
        web() as (target, _),
    ):
        with await connected_to(service) as sock:
            await send(sock, request(target))
            assert (await receive_to_end(sock)).endswith(b"ok")


async def test_shutdown_waits_for_a_request_but_not_for_an_idle_connection(service):
    release = asyncio.Event()

    async def answer(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await release.wait()
        await send(sock, OK)

    async with web() as (idle_target, _), serving(answer) as target:
        with await connected_to(service) as idle, await connected_to(service) as busy:
            await send(idle, request(idle_target))
            await receive_until(idle, b"ok")
            await send(busy, request(target.address))
            await eventually(lambda: service.sessions.waiting == 1)
            closing = asyncio.create_task(service.close(grace=30.0))
            assert await receive_to_end(idle) == b""
            assert nothing_to_receive(busy)
            await send(busy, request(target.address))  # too late
            release.set()
            received = await receive_to_end(busy)
            assert received.count(b"HTTP/1.1 200 ") == 1
            assert b"\r\nConnection: close\r\n" in received
            assert await closing == 0


async def test_unanswered_request_ends_with_the_idle_timeout(caplog):
    async def listen_only(sock: socket.socket) -> None:
        while await receive(sock):
            pass

    async with (
        serving(listen_only) as target,
        jump_server_running() as (_, address),
        bridge_running(address, limits=TunnelLimits(idle=0.1)) as service,
    ):
        with caplog.at_level(logging.WARNING, "netjumper.access"):
            with await connected_to(service) as sock:
                await send(sock, request(target.address))
                assert (await receive_to_end(sock)).startswith(b"HTTP/1.1 504 ")
    assert [record.msg.ending for record in caplog.records] == [
        "GET: AnswerTimeout: the target did not answer before the idle timeout"
    ]


async def test_kept_connection_is_closed_cleanly_by_the_idle_timeout(caplog):
    async with (
        web() as (target, _),
        jump_server_running() as (_, address),
        bridge_running(address, limits=TunnelLimits(idle=0.1)) as service,
    ):
        with await connected_to(service) as sock:
            await send(sock, request(target))
            await receive_until(sock, b"ok")
            assert await receive_to_end(sock) == b""


async def large_answer(sock: socket.socket) -> None:
    await receive_until(sock, b"\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE
    await send(sock, head + bytes(LARGE))
    await receive(sock)


@contextlib.asynccontextmanager
async def unsent_answer(
    service: Service,
) -> AsyncIterator[tuple[Peer, session.ForwardingSession, socket.socket]]:
    """The target of a large answer, the session that buffers the answer, and its client."""
    small_buffers(service)
    async with serving(large_answer) as target:
        with await connected_to(service) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            await send(sock, request(target.address))
            assert await receive(sock, 1) == b"H"
            (session,) = service.sessions._alive
            await eventually(lambda: session._forwarding.idle)
            yield target, session, sock


async def test_shutdown_waits_until_an_answer_is_sent(service):
    async with unsent_answer(service) as (_, _, sock):
        closing = asyncio.create_task(service.close(grace=30.0))
        received = await receive_to_end(sock)
        assert received.endswith(b"\r\n\r\n" + bytes(LARGE))
        assert await closing == 0


async def test_stopped_answer_is_a_reset_after_the_idle_timeout(caplog):
    async def begin(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, OK[:-1])
        await receive(sock)

    async with (
        serving(begin) as target,
        jump_server_running() as (_, address),
        bridge_running(address, limits=TunnelLimits(idle=0.1)) as service,
    ):
        with caplog.at_level(logging.WARNING, "netjumper.access"):
            with await connected_to(service) as sock:
                await send(sock, request(target.address))
                assert (await receive_to_reset(sock)).endswith(b"\r\n\r\no")
    assert caplog.records[0].msg.ending == "GET 200: EndOfStream: idle timeout"


async def test_shutdown_serves_no_request_after_an_unsent_answer(service):
    async with unsent_answer(service) as (target, session, sock):
        closing = asyncio.create_task(service.close(grace=30.0))
        await eventually(lambda: session._forwarding.connection_end is not None)
        await send(sock, request(target.address))
        assert (await receive_to_end(sock)).count(b"HTTP/1.1 200 ") == 0
        assert await closing == 0
        assert target.accepted == 1


async def test_shutdown_waits_for_a_connect_after_a_request(service):
    small_buffers(service)
    async with serving(large_answer) as page, serving(echo) as target:
        with await connected_to(service) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            connect = f"CONNECT {target.address} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            await send(sock, request(page.address) + connect)
            await receive(sock, 1)
            closing = asyncio.create_task(service.close(grace=30.0))
            received = await receive_until(sock, b"established\r\n\r\n")
            assert len(received) > LARGE
            await send(sock, b"echo")
            assert await receive_exactly(sock, 4) == b"echo"
            sock.shutdown(socket.SHUT_WR)
            assert await receive_to_end(sock) == b""
            assert await closing == 0


async def test_slow_reader_gets_all_of_the_last_answer(service):
    async with unsent_answer(service) as (_, session, sock):
        received = b""

        def left() -> int:
            return len(session._to_client) + session._client.unacknowledged()

        while session._to_client:
            session.expire()
            assert session in service.sessions._alive
            before = left()
            while session._to_client and left() == before:
                received += await receive(sock)
        sock.shutdown(socket.SHUT_WR)
        received += await receive_to_end(sock)
        assert received.endswith(b"\r\n\r\n" + bytes(LARGE))


async def test_client_that_does_not_read_the_last_answer_is_reset_in_the_end(monkeypatch, caplog):
    monkeypatch.setattr(session, "KEEP_ALIVE_S", 0.05)
    monkeypatch.setattr("netjumper.bridge.bridge.KEEP_ALIVE_S", 0.05)

    async with (
        serving(large_answer) as target,
        jump_server_running() as (_, address),
        bridge_running(address) as service,
    ):
        small_buffers(service)
        with await connected_to(service) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            await send(sock, request(target.address))
            await receive(sock, 1)
            await eventually(lambda: len(service.sessions) == 0)
    assert caplog.records[-1].msg.ending == (
        "GET 200: EndOfStream: the client does not read its answer"
    )


async def test_client_that_does_not_read_its_rejections_is_not_read():
    credentials = Credentials({"ann": "pw"})
    right = "Proxy-Authorization: Basic YW5uOnB3"
    too_much = 64 * 1024 * 1024
    sent = 0
    async with (
        web() as (target, _),
        jump_server_running() as (_, address),
        bridge_running(address, credentials=credentials) as service,
    ):
        small_buffers(service)
        with await connected_to(service) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            await send(sock, request(target, "/", right))
            await receive_until(sock, b"ok")

            async def pour() -> None:
                nonlocal sent
                block = request(target) * 500
                while sent < too_much:
                    await send(sock, block)
                    sent += len(block)

            pouring = asyncio.ensure_future(pour())
            assert await settled(lambda: sent) < too_much
            pouring.cancel()
            await asyncio.wait([pouring])


def test_keep_alive_is_longer_than_that_of_browsers() -> None:
    assert session.KEEP_ALIVE_S > 60
