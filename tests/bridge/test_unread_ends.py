"""A client or target that is gone while nobody reads from it is noticed soon."""

import asyncio
import logging
import socket

import pytest

from netjumper.addressing.address import Address
from netjumper.sessions import unread_watch
from tests.support.forwarded_requests import OK, connected_to, receive_until, request
from tests.support.peers import (
    connected,
    eventually,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
    serving,
    unresponsive,
)

CONNECT = "CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n"


@pytest.fixture(autouse=True)
def _checks_are_frequent(monkeypatch):
    monkeypatch.setattr("netjumper.sessions.unread_watch.CHECK_INTERVAL_S", 0.02)


async def test_client_that_leaves_before_the_answer_ends_its_request(service, caplog):
    ended = asyncio.Event()

    async def wait(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await receive_to_end(sock)
        ended.set()

    caplog.set_level(logging.INFO)
    async with serving(wait) as target:
        sock = await connected_to(service)
        await send(sock, request(target))
        await eventually(lambda: len(service.sessions) == 1)
        sock.close()
        await asyncio.wait_for(ended.wait(), 5.0)
        await eventually(lambda: len(service.sessions) == 0)
    assert "GET: EndOfStream: the client left before the answer" in caplog.text


async def test_client_that_ends_its_stream_receives_an_answer_that_has_begun(service):
    more = asyncio.Event()

    async def answer(sock: socket.socket) -> None:
        await receive_until(sock, b"\r\n\r\n")
        await send(sock, OK[:-1])
        await more.wait()
        await send(sock, OK[-1:])
        await receive_to_end(sock)

    async with serving(answer) as target:
        with await connected_to(service) as sock:
            await send(sock, request(target, "/", "Connection: close"))
            sock.shutdown(socket.SHUT_WR)
            await receive_until(sock, b"o")
            loop = asyncio.get_running_loop()
            several_checks = loop.time() + 5 * unread_watch.CHECK_INTERVAL_S
            await eventually(lambda: loop.time() > several_checks)
            more.set()
            assert await receive_to_end(sock) == b"k"


async def test_client_that_resets_while_its_upload_is_not_read_ends_its_request(service):
    async def stall(sock: socket.socket) -> None:
        await stalled.wait()
        await receive_to_reset(sock)

    stalled = asyncio.Event()
    async with serving(stall) as target:
        sock = await connected_to(service)
        await send(sock, request(target, "/", f"Content-Length: {2**30}", method="POST"))
        await fill(sock)
        reset(sock)
        await eventually(lambda: len(service.sessions) == 0)
        stalled.set()


async def fill(sock: socket.socket) -> None:
    """Send until nothing more is taken."""
    sock.setblocking(False)
    quiet = 0
    while quiet < 20:
        try:
            sock.send(bytes(64 * 1024))
            quiet = 0
        except BlockingIOError:
            quiet += 1
            await asyncio.sleep(0.01)


async def test_client_that_resets_while_its_target_does_not_read_ends_the_tunnel(service):
    stalled = asyncio.Event()

    async def stall(sock: socket.socket) -> None:
        await stalled.wait()
        await receive_to_reset(sock)

    async with serving(stall) as target:
        sock = await connected(service.address_of("http"))
        await send(sock, CONNECT.format(target.address).encode())
        await receive_until(sock, b"\r\n\r\n")
        await fill(sock)
        reset(sock)
        await eventually(lambda: len(service.sessions) == 0)
        stalled.set()


async def test_client_that_resets_while_its_target_is_dialled_ends_the_tunnel(service):
    with unresponsive() as target:
        sock = await connected(service.address_of("http"))
        await send(sock, CONNECT.format(Address(target.host, target.port)).encode())
        await fill(sock)
        reset(sock)
        await eventually(lambda: len(service.sessions) == 0)
