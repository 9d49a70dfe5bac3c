"""Clients and targets of a jump server that vanish or reset."""

import asyncio
import errno
import os
import socket

import pytest

from tests.support.peers import (
    connected,
    eventually,
    receive_exactly,
    receive_to_reset,
    reset,
    reset_after,
    send,
    serving,
    unresponsive,
)
from tests.support.services import (
    SECRET,
    answer,
    dialer_of,
    request_tunnel,
)


@pytest.mark.parametrize("vanish", [socket.socket.close, reset], ids=["close", "reset"])
@pytest.mark.parametrize("state", ["connected", "half an answer", "answered", "half a name"])
async def test_a_client_that_vanishes_in_its_handshake_leaves_no_session(server, state, vanish):
    service, address = server
    sock = await connected(address)
    reply = await answer(sock)
    if state == "half an answer":
        await send(sock, reply[:10])
    elif state != "connected":
        await send(sock, reply)
        assert await receive_exactly(sock, 1) == b"\0"
    if state == "half a name":
        await send(sock, b"\x0fexample")
    await eventually(lambda: len(service.sessions) == 1)
    vanish(sock)
    await eventually(lambda: len(service.sessions) == 0)


async def test_a_client_that_resets_cancels_the_dial(server):
    service, address = server
    with unresponsive() as target:
        sock = await request_tunnel(address, target)
        dialer = dialer_of(service)
        await eventually(lambda: len(dialer.deadlines) == 1)
        reset(sock)
        await eventually(lambda: len(service.sessions) == 0)
        assert len(dialer.deadlines) == 0


async def test_a_client_that_resets_reaches_the_target_as_a_reset(server):
    service, address = server
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def note(sock: socket.socket) -> None:
        await send(sock, b"welcome")
        got.set_result(await receive_to_reset(sock))

    async with serving(note) as target:
        sock = await request_tunnel(address, target)
        assert await receive_exactly(sock, 8) == b"\0welcome"
        await send(sock, b"last words")
        reset(sock)
        assert await got in (b"last words", b"")  # a reset may overtake what is not yet sent
        await eventually(lambda: len(service.sessions) == 0)


async def test_a_target_that_resets_reaches_the_client_as_a_reset(server):
    _, address = server
    async with serving(reset_after(5, b"last words")) as target:
        with await request_tunnel(address, target) as sock:
            await send(sock, b"hello")
            data = await receive_to_reset(sock)
            assert b"\0last words".startswith(data)


@pytest.mark.parametrize(
    ("failure", "message"),
    [(None, "the client does not read its answers"), (errno.EPIPE, "Broken pipe")],
)
async def test_a_client_that_does_not_take_the_challenge_is_aborted(
    server, monkeypatch, caplog, failure, message
):
    service, address = server

    def no_send(self: object, data: bytes) -> int:
        if failure is not None:
            raise OSError(failure, os.strerror(failure))
        return 0

    monkeypatch.setattr("netjumper.net.endpoint.Endpoint.send", no_send)
    with socket.create_connection((address.host, address.port)):
        await eventually(lambda: bool(caplog.records))
        assert len(service.sessions) == 0
    assert caplog.records[0].getMessage().endswith(message)


@pytest.mark.parametrize("secret", [SECRET, b"wrong"])
async def test_a_client_that_does_not_take_the_verdict_is_aborted(
    server, monkeypatch, caplog, secret
):
    service, address = server
    with await connected(address) as sock:
        right = await answer(sock, secret)
        monkeypatch.setattr("netjumper.net.endpoint.Endpoint.send", lambda *_: 0)
        await send(sock, right)
        await receive_to_reset(sock)
    assert len(service.sessions) == 0
    assert [record.msg.ending for record in caplog.records] == [
        "the client does not read its answers"
    ]
