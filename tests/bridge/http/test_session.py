"""Plain HTTP requests through a bridge, over real sockets."""

import asyncio
import contextlib
import logging
import re
import socket

import pytest

from tests.support.forwarded_requests import connected_to, receive_until, request, web
from tests.support.peers import (
    closed_port,
    eventually,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
    serving,
)


@pytest.mark.parametrize("listener", ["http", "mixed"])
async def test_requests_are_forwarded_over_one_connection(service, listener):
    async with web() as (target, heads):
        with await connected_to(service, listener) as sock:
            for path in ("/1", "/2"):
                await send(sock, request(target, path))
                assert (await receive_until(sock, b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert [head.split()[1] for head in heads] == [b"/1", b"/2"]


async def test_requests_to_several_targets_on_one_connection_are_not_mixed_up(service):
    async with web() as (one, of_one), web() as (other, of_other):
        with await connected_to(service) as sock:
            await send(sock, b"".join(request(t, f"/{n}") for n, t in enumerate([one, other] * 3)))
            received = b""
            while received.count(b"\r\n\r\nok") < 6:
                received += await receive(sock)
    assert [head.split()[1] for head in of_one] == [b"/0", b"/2", b"/4"]
    assert [head.split()[1] for head in of_other] == [b"/1", b"/3", b"/5"]


async def test_target_that_closes_after_each_answer_is_dialled_each_time(service):
    async with web(close=True) as (target, heads):
        with await connected_to(service) as sock:
            for _ in range(5):
                await send(sock, request(target))
                await receive_until(sock, b"ok")
    assert len(heads) == 5


async def test_cut_answer_is_a_reset_for_the_client(service):
    async def cut(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    async with serving(cut) as target:
        with await connected_to(service) as sock:
            await send(sock, request(target.address))
            assert (await receive_to_reset(sock)).endswith(b"only this")


async def test_answer_without_a_length_that_is_reset_is_a_reset_for_the_client(service):
    async def cut(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, b"HTTP/1.0 200 OK\r\n\r\nsome")
        reset(sock)

    async with serving(cut) as target:
        with await connected_to(service) as sock:
            await send(sock, request(target.address))
            received = await receive_to_reset(sock)
    assert not received.endswith(b"0\r\n\r\n")


async def test_unreachable_target_is_a_502_and_closes_the_connection(service):
    with await connected_to(service) as sock:
        await send(sock, request(closed_port()))
        received = await receive_to_end(sock)
    assert received.startswith(b"HTTP/1.1 502 ")
    assert b"Proxy-Status: netjumper; error=connection_refused" in received


async def test_target_too_long_for_the_protocol_is_a_400(service):
    with await connected_to(service) as sock:
        await send(sock, request(".".join(["a" * 60] * 4 + ["bcdefghi"]) + ":12345"))
        assert (await receive_to_end(sock)).startswith(b"HTTP/1.1 400 ")


async def test_request_to_a_web_server_is_answered_with_an_explanation(service):
    with await connected_to(service) as sock:
        await send(sock, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = await receive_to_end(sock)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"http_proxy=" in received


async def test_connect_after_a_forwarded_request_opens_a_tunnel(service):
    async def echo(sock: socket.socket) -> None:
        while data := await receive(sock):
            await send(sock, data)

    async with web() as (page, _), serving(echo) as target:
        with await connected_to(service) as sock:
            await send(sock, request(page))
            await receive_until(sock, b"ok")
            await send(sock, f"CONNECT {target.address} HTTP/1.1\r\nHost: x\r\n\r\nearly".encode())
            assert (await receive_until(sock, b"early")).startswith(b"HTTP/1.1 200 ")
            await send(sock, b"late")
            sock.shutdown(socket.SHUT_WR)
            assert await receive_to_end(sock) == b"late"
    await eventually(lambda: len(service.sessions) == 0)


async def test_upgraded_connection_is_relayed_both_ways(service):
    async def switch(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello")
        while more := await receive(sock):
            await send(sock, more)

    async with serving(switch) as target:
        with await connected_to(service) as sock:
            upgrade = ("Connection: Upgrade", "Upgrade: echo")
            await send(sock, request(target.address, "/", *upgrade))
            assert (await receive_until(sock, b"hello")).startswith(b"HTTP/1.1 101 ")
            await send(sock, b"\x00\xff not HTTP at all")
            assert await receive_exactly(sock, 18) == b"\x00\xff not HTTP at all"
            sock.shutdown(socket.SHUT_WR)
            assert await receive_to_end(sock) == b""


async def test_client_that_leaves_closes_the_targets_connection(service):
    waiting = asyncio.Event()
    left = asyncio.Event()

    async def wait(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        waiting.set()
        with contextlib.suppress(ConnectionResetError):
            assert await receive(sock) == b""
        left.set()

    async with serving(wait) as target:
        sock = await connected_to(service)
        await send(sock, request(target.address))
        await waiting.wait()
        reset(sock)
        await left.wait()
        await eventually(lambda: len(service.sessions) == 0)


async def test_each_request_is_one_line_in_the_log(service, caplog):
    async with web() as (target, _):
        with caplog.at_level(logging.INFO, "netjumper.access"):
            with await connected_to(service) as sock:
                await send(sock, request(target))
                await receive_until(sock, b"ok")
                await send(sock, request(closed_port()))
                await receive_to_end(sock)
    lines = [str(r.msg) for r in caplog.records if "GET" in str(r.msg)]
    assert re.search(rf"-> {target}: up 0 down 2 bytes, .* s, GET 200$", lines[0])
    assert re.search(r"GET: TargetRefused: dial tcp .* refused$", lines[1])


async def test_rejected_request_is_a_warning_in_the_log(service, caplog):
    with caplog.at_level(logging.INFO, "netjumper.access"):
        with await connected_to(service) as sock:
            await send(sock, b"GET /%0As3cret HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await receive_to_end(sock)
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert re.search(
        r"-> \?: up 0 down 0 bytes, .* s, GET 400: Refused: The request is not a proxy request$",
        str(line.msg),
    )
