"""Plain-HTTP forwarding through a real bridge and a real jump server, by raw sockets."""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator

import pytest

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http import session
from netjumper.sessions.manager import TunnelLimits
from netjumper.sessions.service import Service
from tests.support.peers import (
    Peer,
    closed_port,
    connected,
    echo,
    eventually,
    nothing_to_receive,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
    serving,
    settled,
)
from tests.support.services import bridge_running, jump_server_running

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with (
        jump_server_running() as (_, address),
        bridge_running(address) as service,
    ):
        yield service


def request(target: object, path: str = "/", *fields: str, method: str = "GET") -> bytes:
    lines = [f"{method} http://{target}{path} HTTP/1.1", "Host: x", *fields, "", ""]
    return "\r\n".join(lines).encode()


async def receive_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        more = await receive(sock)
        assert more, f"the end came after {data!r}"
        data += more
    return data


@contextlib.asynccontextmanager
async def web(*, close: bool = False) -> AsyncIterator[tuple[Address, list[bytes]]]:
    """A server that answers `ok` to heads without bodies, and what it was asked."""
    heads: list[bytes] = []

    async def answer(sock: socket.socket) -> None:
        pending = b""
        while more := await receive(sock):
            pending += more
            while b"\r\n\r\n" in pending:
                head, _, pending = pending.partition(b"\r\n\r\n")
                heads.append(head)
                await send(sock, OK)
                if close:
                    return

    async with serving(answer) as target:
        yield target.address, heads


SMALL = 8 * 1024
LARGE = session.MAX_BUFFERED // 2
"""Bytes that the bridge holds for a client whose kernel takes few."""


def small_buffers(service: Service) -> None:
    """Have the kernel hold little of what a client that does not read is sent."""
    for _, listener in service._listeners:
        listener._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)


async def through(service: Service, door: str = "http") -> socket.socket:
    return await connected(service.address_of(door))


@pytest.mark.parametrize("door", ["http", "mixed"])
async def test_requests_are_forwarded_over_one_connection(service, door):
    async with web() as (target, heads):
        with await through(service, door) as sock:
            for path in ("/1", "/2"):
                await send(sock, request(target, path))
                assert (await receive_until(sock, b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert [head.split()[1] for head in heads] == [b"/1", b"/2"]


async def test_several_targets_are_served_over_one_connection_and_not_mixed_up(service):
    async with web() as (one, of_one), web() as (other, of_other):
        with await through(service) as sock:
            await send(sock, b"".join(request(t, f"/{n}") for n, t in enumerate([one, other] * 3)))
            said = b""
            while said.count(b"\r\n\r\nok") < 6:
                said += await receive(sock)
    assert [head.split()[1] for head in of_one] == [b"/0", b"/2", b"/4"]
    assert [head.split()[1] for head in of_other] == [b"/1", b"/3", b"/5"]


async def test_a_target_that_closes_each_time_is_dialled_each_time(service):
    async with web(close=True) as (target, heads):
        with await through(service) as sock:
            for _ in range(5):
                await send(sock, request(target))
                await receive_until(sock, b"ok")
    assert len(heads) == 5


@pytest.fixture
def no_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jump server would keep its pipes for the next transfer: they would look like leaks."""
    monkeypatch.setattr("netjumper.relay.splice.CAN_SPLICE", False)


async def test_bodies_are_streamed_and_never_held_whole(no_pipes, service):
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
        with await through(service) as sock:
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


async def test_a_client_that_does_not_read_its_answer_stops_the_target(no_pipes, service):
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
        with await through(service) as sock:
            await send(sock, request(target.address))
            await eventually(lambda: sent > 0)
            assert await settled(lambda: sent) < size
            head = await receive_exactly(sock, 200)
            body = 200 - head.index(b"\r\n\r\n") - 4
            while body < size:
                body += len(await receive(sock))
    assert body == size


async def test_what_a_client_sends_behind_its_last_answer_is_not_held_without_end(
    service, monkeypatch
):
    monkeypatch.setattr(session, "READ_SIZE", SMALL)
    small_buffers(service)
    too_much = 16 * 1024 * 1024
    sent = 0

    async def answer(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, b"HTTP/1.0 200 OK\r\n\r\n" + bytes(session.MAX_BUFFERED // 2))

    async def pour(sock: socket.socket) -> None:
        nonlocal sent
        while sent < too_much:
            await send(sock, bytes(65536))
            sent += 65536

    async with serving(answer) as target:
        with await through(service) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            await send(sock, request(target.address, "/", "Connection: close"))
            await receive(sock, 1)
            pouring = asyncio.ensure_future(pour(sock))
            assert await settled(lambda: sent) < too_much
            pouring.cancel()
            await asyncio.wait([pouring])


async def test_a_cut_answer_is_a_reset_for_the_client(service):
    async def cut(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    async with serving(cut) as target:
        with await through(service) as sock:
            await send(sock, request(target.address))
            assert (await receive_to_reset(sock)).endswith(b"only this")


async def test_an_answer_without_a_length_that_is_reset_is_a_reset(service):
    async def cut(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, b"HTTP/1.0 200 OK\r\n\r\nsome")
        reset(sock)

    async with serving(cut) as target:
        with await through(service) as sock:
            await send(sock, request(target.address))
            said = await receive_to_reset(sock)
    assert not said.endswith(b"0\r\n\r\n")


async def test_a_target_that_is_not_there_is_a_502_and_the_end(service):
    with await through(service) as sock:
        await send(sock, request(closed_port()))
        said = await receive_to_end(sock)
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"Proxy-Status: netjumper; error=connection_refused" in said


async def test_a_target_that_the_protocol_has_no_room_for_is_a_400(service):
    with await through(service) as sock:
        await send(sock, request(".".join(["a" * 60] * 4 + ["bcdefghi"]) + ":12345"))
        assert (await receive_to_end(sock)).startswith(b"HTTP/1.1 400 ")


async def test_what_is_no_request_for_a_proxy_is_told_what_this_is(service):
    with await through(service) as sock:
        await send(sock, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = await receive_to_end(sock)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"http_proxy=" in said


async def test_a_connect_behind_a_forwarded_request_is_a_tunnel(service):
    async def echo(sock: socket.socket) -> None:
        while data := await receive(sock):
            await send(sock, data)

    async with web() as (page, _), serving(echo) as target:
        with await through(service) as sock:
            await send(sock, request(page))
            await receive_until(sock, b"ok")
            await send(sock, f"CONNECT {target.address} HTTP/1.1\r\nHost: x\r\n\r\nearly".encode())
            assert (await receive_until(sock, b"early")).startswith(b"HTTP/1.1 200 ")
            await send(sock, b"late")
            sock.shutdown(socket.SHUT_WR)
            assert await receive_to_end(sock) == b"late"
    await eventually(lambda: len(service.sessions) == 0)


async def test_an_upgraded_connection_is_piped_both_ways(service):
    async def switch(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello")
        while more := await receive(sock):
            await send(sock, more)

    async with serving(switch) as target:
        with await through(service) as sock:
            upgrade = ("Connection: Upgrade", "Upgrade: echo")
            await send(sock, request(target.address, "/", *upgrade))
            assert (await receive_until(sock, b"hello")).startswith(b"HTTP/1.1 101 ")
            await send(sock, b"\x00\xff not HTTP at all")
            assert await receive_exactly(sock, 18) == b"\x00\xff not HTTP at all"
            sock.shutdown(socket.SHUT_WR)
            assert await receive_to_end(sock) == b""


async def test_a_connection_that_stays_idle_is_closed(monkeypatch):
    monkeypatch.setattr("netjumper.bridge.bridge.KEEP_ALIVE_S", 0.05)
    async with (
        jump_server_running() as (_, address),
        bridge_running(address) as service,
        web() as (target, _),
    ):
        with await through(service) as sock:
            await send(sock, request(target))
            assert (await receive_to_end(sock)).endswith(b"ok")


async def test_a_client_that_leaves_takes_the_targets_connection_with_it(service):
    waiting = asyncio.Event()
    left = asyncio.Event()

    async def wait(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        waiting.set()
        with contextlib.suppress(ConnectionResetError):
            assert await receive(sock) == b""
        left.set()

    async with serving(wait) as target:
        sock = await through(service)
        await send(sock, request(target.address))
        await waiting.wait()
        reset(sock)
        await left.wait()
        await eventually(lambda: len(service.sessions) == 0)


async def test_each_request_is_one_line_in_the_log(service, caplog):
    async with web() as (target, _):
        with caplog.at_level(logging.INFO, "netjumper.access"):
            with await through(service) as sock:
                await send(sock, request(target))
                await receive_until(sock, b"ok")
                await send(sock, request(closed_port()))
                await receive_to_end(sock)
    lines = [str(r.msg) for r in caplog.records if "GET" in str(r.msg)]
    assert re.search(rf"-> {target}: up 0 down 2 bytes, .* s, GET 200$", lines[0])
    assert re.search(r"GET: TargetRefused: dial tcp .* refused$", lines[1])


async def test_a_request_that_is_refused_is_a_warning_in_the_log(service, caplog):
    with caplog.at_level(logging.INFO, "netjumper.access"):
        with await through(service) as sock:
            await send(sock, b"GET /%0As3cret HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await receive_to_end(sock)
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert re.search(
        r"-> \?: up 0 down 0 bytes, .* s, GET 400: Refused: The request is not a proxy request$",
        str(line.msg),
    )


async def test_closing_waits_for_a_request_and_not_for_an_idle_connection(service):
    release = asyncio.Event()

    async def answer(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await release.wait()
        await send(sock, OK)

    async with web() as (idle_target, _), serving(answer) as target:
        with await through(service) as idle, await through(service) as busy:
            await send(idle, request(idle_target))
            await receive_until(idle, b"ok")
            await send(busy, request(target.address))
            await eventually(lambda: service.sessions.waiting == 1)
            closing = asyncio.create_task(service.close(grace=30.0))
            assert await receive_to_end(idle) == b""
            assert nothing_to_receive(busy)
            await send(busy, request(target.address))  # this one comes too late
            release.set()
            said = await receive_to_end(busy)
            assert said.count(b"HTTP/1.1 200 ") == 1
            assert b"\r\nConnection: close\r\n" in said
            assert await closing == 0


async def test_a_request_without_an_answer_ends_with_the_idle_timeout(caplog):
    async def listen_only(sock: socket.socket) -> None:
        while await receive(sock):
            pass

    async with (
        serving(listen_only) as target,
        jump_server_running() as (_, address),
        bridge_running(address, limits=TunnelLimits(idle=0.1)) as service,
    ):
        with caplog.at_level(logging.WARNING, "netjumper.access"):
            with await through(service) as sock:
                await send(sock, request(target.address))
                assert (await receive_to_end(sock)).startswith(b"HTTP/1.1 504 ")
    assert [record.msg.ending for record in caplog.records] == [
        "GET: AnswerTimeout: the target did not answer before the idle timeout"
    ]


async def test_a_kept_connection_ends_cleanly_with_the_idle_timeout(caplog):
    async with (
        web() as (target, _),
        jump_server_running() as (_, address),
        bridge_running(address, limits=TunnelLimits(idle=0.1)) as service,
    ):
        with await through(service) as sock:
            await send(sock, request(target))
            await receive_until(sock, b"ok")
            assert await receive_to_end(sock) == b""


async def large_answer(sock: socket.socket) -> None:
    await receive_until(sock, b"\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE
    await send(sock, head + bytes(LARGE))
    await receive(sock)


@contextlib.asynccontextmanager
async def an_answer_that_has_not_left(
    service: Service,
) -> AsyncIterator[tuple[Peer, session.ForwardingSession, socket.socket]]:
    """The target that gave a large answer, the session that holds it, and its client."""
    small_buffers(service)
    async with serving(large_answer) as target:
        with await through(service) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            await send(sock, request(target.address))
            assert await receive(sock, 1) == b"H"
            (session,) = service.sessions._alive
            await eventually(lambda: session._forwarding.idle)
            yield target, session, sock


async def test_closing_waits_until_an_answer_has_left(service):
    async with an_answer_that_has_not_left(service) as (_, _, sock):
        closing = asyncio.create_task(service.close(grace=30.0))
        said = await receive_to_end(sock)
        assert said.endswith(b"\r\n\r\n" + bytes(LARGE))
        assert await closing == 0


async def test_an_answer_that_stops_half_way_is_a_reset_after_the_idle_timeout(caplog):
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
            with await through(service) as sock:
                await send(sock, request(target.address))
                assert (await receive_to_reset(sock)).endswith(b"\r\n\r\no")
    assert caplog.records[0].msg.ending == "GET 200: EndOfStream: idle timeout"


async def test_closing_takes_no_request_behind_an_answer_that_has_not_left(service):
    async with an_answer_that_has_not_left(service) as (target, session, sock):
        closing = asyncio.create_task(service.close(grace=30.0))
        await eventually(lambda: session._forwarding.connection_end is not None)
        await send(sock, request(target.address))
        assert (await receive_to_end(sock)).count(b"HTTP/1.1 200 ") == 0
        assert await closing == 0
        assert target.accepted == 1


async def test_closing_waits_for_a_connect_behind_a_request(service):
    small_buffers(service)
    async with serving(large_answer) as page, serving(echo) as target:
        with await through(service) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            connect = f"CONNECT {target.address} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            await send(sock, request(page.address) + connect)
            await receive(sock, 1)
            closing = asyncio.create_task(service.close(grace=30.0))
            said = await receive_until(sock, b"established\r\n\r\n")
            assert len(said) > LARGE
            await send(sock, b"echo")
            assert await receive_exactly(sock, 4) == b"echo"
            sock.shutdown(socket.SHUT_WR)
            assert await receive_to_end(sock) == b""
            assert await closing == 0


async def test_who_reads_the_last_answer_slowly_gets_all_of_it(service):
    async with an_answer_that_has_not_left(service) as (_, session, sock):
        said = b""

        def left() -> int:
            return len(session._to_client) + session._client.unacknowledged()

        while session._to_client:
            session.expire()
            assert session in service.sessions._alive
            before = left()
            while session._to_client and left() == before:
                said += await receive(sock)
        sock.shutdown(socket.SHUT_WR)
        said += await receive_to_end(sock)
        assert said.endswith(b"\r\n\r\n" + bytes(LARGE))


async def test_who_does_not_read_the_last_answer_is_not_kept_for_ever(monkeypatch, caplog):
    monkeypatch.setattr(session, "KEEP_ALIVE_S", 0.05)
    monkeypatch.setattr("netjumper.bridge.bridge.KEEP_ALIVE_S", 0.05)

    async with (
        serving(large_answer) as target,
        jump_server_running() as (_, address),
        bridge_running(address) as service,
    ):
        small_buffers(service)
        with await through(service) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            await send(sock, request(target.address))
            await receive(sock, 1)
            await eventually(lambda: len(service.sessions) == 0)
    assert caplog.records[-1].msg.ending == (
        "GET 200: EndOfStream: the client does not read its answer"
    )


async def test_who_does_not_read_its_refusals_is_not_read_either():
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
        with await through(service) as sock:
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


def test_an_idle_connection_is_kept_for_longer_than_browsers_do() -> None:
    assert session.KEEP_ALIVE_S > 60
