"""Forwarded requests as early data: bodies, failures, repetition."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from netjumper.addressing.choices import EarlyData
from netjumper.bridge.http.session import ForwardingSession
from netjumper.client.jump_host import MAX_EARLY_DATA_BYTES
from netjumper.sessions.service import Service
from tests.support.peers import (
    connected,
    eventually,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
    serving,
)
from tests.support.scripted_jump_server import (
    TARGET,
    ControlledPeer,
    bridge_over,
    end_without_outcome,
    in_turn,
    jump_server,
    refuse,
)
from tests.support.services import bridge_running, destination, jump_server_running

URL = f"http://{TARGET}/"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def request(method: str = "GET", *fields: str, url: str = URL) -> bytes:
    return "\r\n".join([f"{method} {url} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


async def requesting_client(service: Service, data: bytes) -> socket.socket:
    sock = await connected(service.address_of("http"))
    await send(sock, data)
    return sock


async def answered(sock: socket.socket) -> bytes:
    """Return the status line of an answer whose body is `ok`."""
    data = b""
    while not data.endswith(b"\r\n\r\nok"):
        more = await receive(sock)
        assert more, data
        data += more
    return data.partition(b"\r\n")[0]


async def head_of(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n") and (more := await receive(sock, 1)):
        data += more
    return data


async def serve(sock: socket.socket) -> None:
    """Act as an HTTP server after the destination was received."""
    await send(sock, b"\0")
    while await head_of(sock):
        await send(sock, OK)


@pytest.mark.parametrize("early", EarlyData)
async def test_request_and_destination_are_sent_in_one_segment_in_every_mode(early):
    segments: list[bytes] = []

    async def note(sock: socket.socket) -> None:
        if segment := await receive(sock):
            segments.append(segment)
            await send(sock, b"\0" + OK)
            await receive(sock)

    async with jump_server(note) as jump, bridge_over(jump.address, early) as (service, _):
        with await requesting_client(service, request()) as sock:
            assert await answered(sock) == b"HTTP/1.1 200 OK"
    assert len(segments) == 1
    assert segments[0].startswith(destination(TARGET) + b"GET / HTTP/1.1\r\n")
    assert segments[0].endswith(b"\r\n\r\n")


async def test_large_body_is_sent_early_up_to_the_budget():
    body = bytes(range(256)) * 400
    peer = ControlledPeer()
    early = b""
    whole = b""

    async def count(sock: socket.socket) -> None:
        nonlocal early, whole
        early = await receive_exactly(sock, MAX_EARLY_DATA_BYTES)
        peer.requested.set()
        await peer.answer.wait()
        await send(sock, b"\0")
        _, _, begin = early.partition(b"\r\n\r\n")
        whole = begin + await receive_exactly(sock, len(body) - len(begin))
        await send(sock, OK)
        await receive(sock)

    async with jump_server(in_turn(count)) as jump, bridge_over(jump.address) as (service, _):
        post = request("POST", f"Content-Length: {len(body)}")
        with await requesting_client(service, post) as sock:
            sending = asyncio.create_task(send(sock, body))
            await peer.requested.wait()
            (session,) = service.sessions._alive
            assert session._target._opening.early_data_budget == 0
            peer.answer.set()
            assert await answered(sock) == b"HTTP/1.1 200 OK"
            await sending
    assert early.startswith(b"POST / HTTP/1.1\r\n")
    assert whole == body


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [(refuse, b"connection refused"), (end_without_outcome, b"jump host 127.0.0.1:")],
    ids=["refused", "lost"],
)
async def test_failed_early_request_is_a_502(method, behaviour, words):
    async with jump_server(in_turn(behaviour)) as jump, bridge_over(jump.address) as (service, _):
        with await requesting_client(service, request(method, "Content-Length: 2") + b"hi") as sock:
            response = await receive_to_end(sock)
    assert response.startswith(b"HTTP/1.1 502 ")
    assert words in response


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", b"HTTP/1.1 200 OK"), ("HEAD", b"HTTP/1.1 200 OK"), ("POST", b"HTTP/1.1 502 ")],
)
async def test_only_a_safe_request_is_sent_again_on_another_connection(method, status):
    requested: list[bytes] = []

    def recording(behaviour: Callable[[socket.socket], Any]) -> Callable[[socket.socket], Any]:
        async def behave(sock: socket.socket) -> None:
            requested.append(await head_of(sock))
            await behaviour(sock)

        return behave

    async def answer(sock: socket.socket) -> None:
        await send(sock, b"\0" + OK)
        await receive(sock)

    behaviours = in_turn(recording(end_without_outcome), recording(answer))
    async with jump_server(behaviours) as jump, bridge_over(jump.address, parked=2) as (service, _):
        with await requesting_client(service, request(method)) as sock:
            assert (await receive(sock)).startswith(status)
    assert len(requested) == (1 if method == "POST" else 2)
    assert len(set(requested)) == 1


async def test_next_requests_reuse_the_connection():
    requested = 0

    async def once(sock: socket.socket) -> None:
        nonlocal requested
        requested += 1
        await serve(sock)

    async with jump_server(in_turn(once)) as jump, bridge_over(jump.address) as (service, _):
        with await requesting_client(service, request()) as sock:
            for _ in range(3):
                assert await answered(sock) == b"HTTP/1.1 200 OK"
                await send(sock, request())
            assert await answered(sock) == b"HTTP/1.1 200 OK"
    assert requested == 1


async def test_client_reset_before_the_outcome_closes_the_jump_connection():
    peer = ControlledPeer()
    async with jump_server(in_turn(peer.never_answer)) as jump:
        async with bridge_over(jump.address) as (service, _):
            sock = await requesting_client(service, request())
            await peer.requested.wait()
            reset(sock)
            await peer.closed.wait()
            assert len(service.sessions) == 0


async def test_invalid_body_before_the_outcome_is_rejected_without_another_dial():
    reached = 0
    closed = asyncio.Event()

    async def note(sock: socket.socket) -> None:
        nonlocal reached
        reached += 1
        await receive_to_reset(sock)
        closed.set()

    async with jump_server(in_turn(note)) as jump, bridge_over(jump.address) as (service, upstream):
        requests: list[Any] = []
        connect = upstream.connect

        def recording(*args: Any) -> Any:
            requests.append(args)
            return connect(*args)

        upstream.connect = recording
        with await requesting_client(
            service, request("POST", "Transfer-Encoding: chunked")
        ) as sock:
            await eventually(lambda: reached == 1)
            await send(sock, b"no chunk\r\n")
            assert (await receive(sock)).startswith(b"HTTP/1.1 400 ")
            await closed.wait()
        assert len(requests) == 1


async def test_nothing_is_sent_early_without_a_budget(monkeypatch):
    """A dialer has no early data, and raises an error for it."""
    waiting: list[int] = []
    update = ForwardingSession._update

    def recording(session: ForwardingSession) -> None:
        update(session)
        waiting.append(session._target.waiting)

    def none(*_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(ForwardingSession, "_update", recording)
    monkeypatch.setattr("netjumper.client.jump_host.JumpConnection.early_data_budget", 0)
    monkeypatch.setattr("netjumper.client.jump_host.JumpConnection.send_early", none)

    async def answer(sock: socket.socket) -> None:
        await head_of(sock)
        await send(sock, OK)
        await receive(sock)

    async with serving(answer) as target, jump_server_running() as (_, jump):
        async with bridge_running(jump) as service:
            with await requesting_client(service, request(url=f"http://{target}/")) as sock:
                assert await answered(sock) == b"HTTP/1.1 200 OK"
    assert waiting[0] > 0
