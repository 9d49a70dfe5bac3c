"""Tunnels through a bridge and a real jump server, as a client sees them."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from netjumper.addressing.address import Address
from netjumper.sessions.service import Service
from tests.support.peers import (
    answer_after_end,
    connected,
    echo,
    eventually,
    nothing_to_receive,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    send,
    serving,
    speak_first,
)
from tests.support.proxy_requests import (
    ESTABLISHED,
    GRANTED5,
    TARGET,
    http_request,
    send_request,
    socks4a_request,
    socks5_request,
)
from tests.support.scripted_peer import ANSWER, Step, destination_size, scripted
from tests.support.services import NAMES, bridge_running, destination

GRANTED4 = b"\0\x5a\0\0\0\0\0\0"


Protocols = list[tuple[str, Callable[[Address], bytes], bytes]]
PROTOCOLS: Protocols = [
    ("socks", socks5_request, b"\5\0" + GRANTED5),
    ("socks", socks4a_request, GRANTED4),
    ("http", http_request, ESTABLISHED),
    ("mixed", socks5_request, b"\5\0" + GRANTED5),
    ("mixed", socks4a_request, GRANTED4),
    ("mixed", http_request, ESTABLISHED),
]
every_protocol = pytest.mark.parametrize(
    ("listener", "request_for", "granted"),
    PROTOCOLS,
    ids=[f"{listener}-{request_for.__name__}" for listener, request_for, _ in PROTOCOLS],
)


@every_protocol
async def test_client_reaches_its_target(service, listener, request_for, granted):
    async with serving(echo) as target:
        with await send_request(service, listener, request_for(target.address)) as sock:
            assert await receive_exactly(sock, len(granted)) == granted
            await send(sock, b"hello")
            assert await receive_exactly(sock, 5) == b"hello"
            sock.shutdown(socket.SHUT_WR)
            assert await receive(sock) == b""
        await eventually(lambda: len(service.sessions) == 0)


@every_protocol
async def test_client_can_send_one_byte_at_a_time(service, listener, request_for, granted):
    async with serving(echo) as target:
        with await connected(service.address_of(listener)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request_for(target.address) + b"hello":
                await send(sock, bytes((byte,)))
            assert await receive_exactly(sock, len(granted) + 5) == granted + b"hello"


@every_protocol
async def test_client_can_half_close_after_its_request(service, listener, request_for, granted):
    async with serving(answer_after_end) as target:
        with await send_request(service, listener, request_for(target.address) + b"hello") as sock:
            sock.shutdown(socket.SHUT_WR)
            assert await receive_to_end(sock) == granted + b"5 bytes received"


async def test_bytes_from_a_target_that_speaks_first_arrive(service):
    async with serving(speak_first(b"220 ready")) as target:
        with await send_request(service, "http", http_request(target.address)) as sock:
            data = await receive_exactly(sock, len(ESTABLISHED) + 9)
            assert data == ESTABLISHED + b"220 ready"


async def test_names_are_resolved_by_the_jump_server_only(service, monkeypatch):
    async with serving(echo) as target:
        monkeypatch.setitem(NAMES, "only-there.example", target.address.host)
        there = Address("only-there.example", target.address.port)
        with await send_request(service, "socks", socks5_request(there)) as sock:
            assert await receive_exactly(sock, 12) == b"\5\0" + GRANTED5


async def test_names_are_passed_on_unchanged():
    size = destination_size(TARGET)
    frames: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def note(sock: socket.socket) -> None:
        await scripted(Step.CHALLENGE, ANSWER)(sock)
        frames.set_result(await receive_exactly(sock, size))
        await scripted(b"\0\0", Step.ECHO)(sock)

    async with serving(note) as jump, bridge_running(jump.address) as service:
        with await send_request(service, "http", http_request(TARGET)) as sock:
            assert await receive_exactly(sock, len(ESTABLISHED)) == ESTABLISHED
            assert await frames == destination(TARGET)


async def test_two_hundred_concurrent_tunnels_work(service):
    async with serving(echo) as target:
        request = socks5_request(target.address)
        socks = await asyncio.gather(*(send_request(service, "socks", request) for _ in range(200)))
        for number, sock in enumerate(socks):
            assert await receive_exactly(sock, 12) == b"\5\0" + GRANTED5
            await send(sock, b"%04d" % number)
        for number, sock in enumerate(socks):
            assert await receive_exactly(sock, 4) == b"%04d" % number
        assert len(service.sessions) == 200
        for sock in socks:
            sock.close()
        await eventually(lambda: len(service.sessions) == 0)


async def test_reset_by_the_jump_server_is_a_reset_for_the_client():
    script = (Step.CHALLENGE, ANSWER + destination_size(TARGET), b"\0\0", 5, Step.RESET)
    async with serving(scripted(*script)) as jump, bridge_running(jump.address) as service:
        with await send_request(service, "http", http_request(TARGET)) as sock:
            assert await receive_exactly(sock, len(ESTABLISHED)) == ESTABLISHED
            await send(sock, b"hello")
            assert await receive_to_reset(sock) == b""


# --- the outcome --------------------------------------------------------------------------


@every_protocol
async def test_success_is_reported_only_after_the_outcome(listener, request_for, granted):
    asked_for, say_yes = asyncio.Event(), asyncio.Event()
    greeting = b"\5\0" if granted.startswith(b"\5") else b""

    async def withhold(sock: socket.socket) -> None:
        await scripted(Step.CHALLENGE, ANSWER, b"\0", destination_size(TARGET))(sock)
        asked_for.set()
        await scripted(say_yes, b"\0", Step.ECHO)(sock)

    async with serving(withhold) as jump, bridge_running(jump.address) as service:
        with await send_request(service, listener, request_for(TARGET)) as sock:
            assert await receive_exactly(sock, len(greeting)) == greeting
            await asked_for.wait()
            assert nothing_to_receive(sock)
            say_yes.set()
            rest = granted.removeprefix(greeting)
            assert await receive_exactly(sock, len(rest)) == rest


@every_protocol
async def test_bytes_after_the_request_wait_for_the_outcome_and_are_sent_first(
    listener, request_for, granted
):
    say_yes = asyncio.Event()
    early: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def withhold(sock: socket.socket) -> None:
        await scripted(Step.CHALLENGE, ANSWER, b"\0", destination_size(TARGET))(sock)
        await say_yes.wait()
        early.set_result(not nothing_to_receive(sock))
        await scripted(b"\0", Step.ECHO)(sock)

    async with serving(withhold) as jump, bridge_running(jump.address) as service:
        with await send_request(service, listener, request_for(TARGET) + b"first ") as sock:
            await eventually(lambda: sent_ahead(service) == 6)
            await send(sock, b"second")
            await eventually(lambda: sent_ahead(service) == 12)
            say_yes.set()
            assert await receive_exactly(sock, len(granted) + 12) == granted + b"first second"
    assert await early is False


def sent_ahead(service: Service) -> int:
    """Return how many bytes wait for an outcome."""
    handshakes = [tunnel._handshake for tunnel in service.sessions._alive]
    return sum(handshake.trailing_size for handshake in handshakes if handshake is not None)


async def test_bytes_after_the_outcome_are_not_lost():
    script = (Step.CHALLENGE, ANSWER + destination_size(TARGET), b"\0\x00220 ready", Step.SILENCE)
    async with serving(scripted(*script)) as jump, bridge_running(jump.address) as service:
        with await send_request(service, "http", http_request(TARGET)) as sock:
            data = await receive_exactly(sock, len(ESTABLISHED) + 9)
            assert data == ESTABLISHED + b"220 ready"
