"""Early data through a bridge: clients that get an early success reply."""

import asyncio
import logging
import socket

import pytest

from netjumper.addressing.choices import EarlyData
from netjumper.client.jump_host import MAX_EARLY_DATA_BYTES
from netjumper.sessions.service import Service
from tests.support.peers import (
    connected,
    eventually,
    nothing_to_receive,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
)
from tests.support.scripted_jump_server import (
    DESTINATION,
    GET,
    SSH,
    TARGET,
    ControlledPeer,
    bridge_over,
    end_without_outcome,
    in_turn,
    jump_server,
    mark_known,
    refuse,
    silent,
    succeed,
)
from tests.support.services import destination

HOST = TARGET.host.encode()
SOCKS5 = b"\5\1\0\5\1\0\3" + bytes((len(HOST),)) + HOST + TARGET.port.to_bytes(2)
CONNECT = f"CONNECT {TARGET} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n".encode()
GRANTED = {
    "socks": b"\5\0" + b"\5\0\0\1\0\0\0\0\0\0",
    "http": b"HTTP/1.1 200 Connection established\r\n\r\n",
}
every_door = pytest.mark.parametrize("listener", ["socks", "http"])


pytestmark = pytest.mark.usefixtures("nothing_is_left")


async def requesting_client(service: Service, listener: str = "socks") -> socket.socket:
    """Return the connection of a client that has requested `TARGET`."""
    sock = await connected(service.address_of(listener))
    await send(sock, SOCKS5 if listener == "socks" else CONNECT)
    return sock


async def early_client(service: Service, listener: str = "socks") -> socket.socket:
    """Return the connection of a client that has got its early success reply."""
    sock = await requesting_client(service, listener)
    assert await receive_exactly(sock, len(GRANTED[listener])) == GRANTED[listener]
    return sock


class Slow:
    """A jump server that answers only on cue."""

    def __init__(self, outcome: bytes = b"\0") -> None:
        self.segments: list[bytes] = []
        self.answer = asyncio.Event()
        self._outcome = outcome

    async def serve(self, sock: socket.socket) -> None:
        segment = await receive(sock)
        if not segment:
            return
        self.segments.append(segment)
        await self.answer.wait()
        await send(sock, self._outcome)
        if self._outcome == b"\0":
            await send(sock, segment[DESTINATION:])
            while data := await receive(sock):
                self.segments.append(data)
                await send(sock, data)


@every_door
async def test_success_is_reported_early_for_a_known_target(listener, caplog):
    caplog.set_level(logging.INFO)
    slow = Slow()
    async with jump_server(slow.serve) as jump, bridge_over(jump.address) as (service, upstream):
        mark_known(upstream)
        with await early_client(service, listener) as sock:
            await send(sock, GET)
            await eventually(lambda: bool(slow.segments))
            assert slow.segments == [destination(TARGET) + GET]
            slow.answer.set()
            assert await receive_exactly(sock, len(GET)) == GET
            await send(sock, b"more")
            assert await receive_exactly(sock, 4) == b"more"
        await eventually(lambda: bool(caplog.messages))
    assert f"up {len(GET) + 4} down {len(GET) + 4} bytes" in caplog.messages[-1]


async def test_bytes_after_the_request_are_sent_with_the_destination():
    slow = Slow()
    async with jump_server(slow.serve) as jump, bridge_over(jump.address) as (service, upstream):
        mark_known(upstream)
        with await connected(service.address_of("socks")) as sock:
            await send(sock, SOCKS5 + GET)
            await eventually(lambda: bool(slow.segments))
            assert slow.segments == [destination(TARGET) + GET]


@every_door
async def test_unknown_target_waits_for_its_outcome_and_is_known_afterwards(listener):
    slow = Slow()
    async with jump_server(slow.serve) as jump, bridge_over(jump.address) as (service, _):
        with await requesting_client(service, listener) as sock:
            await eventually(lambda: bool(slow.segments))
            assert slow.segments == [destination(TARGET)]
            greeted = len(GRANTED[listener]) - 10 if listener == "socks" else 0
            await receive_exactly(sock, greeted)
            assert nothing_to_receive(sock)
            slow.answer.set()
            assert await receive_exactly(sock, len(GRANTED[listener]) - greeted)
        slow.answer.clear()
        (await early_client(service, listener)).close()


async def test_bytes_for_an_unknown_target_wait_for_the_outcome():
    slow = Slow()
    async with jump_server(slow.serve) as jump, bridge_over(jump.address) as (service, _):
        with await requesting_client(service) as sock:
            await eventually(lambda: bool(slow.segments))
            await send(sock, GET)
            (tunnel,) = service.sessions._alive
            await eventually(lambda: tunnel._handshake.trailing_size == len(GET))
            assert slow.segments == [destination(TARGET)]
            assert tunnel._early == 0
            slow.answer.set()
            await receive_exactly(sock, len(GRANTED["socks"]))
            assert await receive_exactly(sock, len(GET)) == GET


async def test_early_data_never_waits_for_every_outcome():
    slow = Slow()
    async with jump_server(slow.serve) as jump:
        async with bridge_over(jump.address, EarlyData.NEVER) as (service, upstream):
            mark_known(upstream)
            with await requesting_client(service) as sock:
                await eventually(lambda: bool(slow.segments))
                assert await receive_exactly(sock, 2) == b"\5\0"
                assert nothing_to_receive(sock)


async def test_early_data_always_waits_for_no_outcome():
    async with jump_server(silent) as jump:
        async with bridge_over(jump.address, EarlyData.ALWAYS) as (service, _):
            (await early_client(service)).close()


@every_door
@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        pytest.param(refuse, "TargetRefused: connect: connection refused", id="refused"),
        pytest.param(end_without_outcome, "JumpHostProtocolError: jump host", id="lost"),
    ],
)
@pytest.mark.parametrize("early", [b"", SSH], ids=["nothing sent", "sent"])
async def test_false_early_success_is_a_reset(listener, behaviour, why, early, caplog):
    peer = ControlledPeer()

    async def fail(sock: socket.socket) -> None:
        await peer.answer.wait()
        await receive_exactly(sock, len(early))
        await behaviour(sock)

    async with jump_server(in_turn(fail)) as jump:
        async with bridge_over(jump.address) as (service, upstream):
            mark_known(upstream)
            with await early_client(service, listener) as sock:
                await send(sock, early)
                peer.answer.set()
                assert await receive_to_reset(sock) == b""
            assert not upstream.context.known.expects(TARGET, upstream.context.loop.time())
            (line,) = [text for text in caplog.messages if str(TARGET) in text]
    assert why in line
    assert line.endswith(" (after an early success)")


async def test_bytes_over_the_early_budget_wait_and_are_not_lost():
    slow = Slow()
    data = bytes(range(256)) * 400
    async with jump_server(slow.serve) as jump, bridge_over(jump.address) as (service, upstream):
        mark_known(upstream)
        with await early_client(service) as sock:
            sending = asyncio.create_task(send(sock, data))
            (tunnel,) = service.sessions._alive
            await eventually(lambda: tunnel._opening.early_data_budget == 0)
            await eventually(lambda: tunnel._client._on_readable is None)
            assert tunnel._early == MAX_EARLY_DATA_BYTES
            slow.answer.set()
            assert await receive_exactly(sock, len(data)) == data
            await sending
    assert b"".join(slow.segments) == destination(TARGET) + data


async def test_early_half_close_delivers_all_bytes_and_the_answer():
    peer = ControlledPeer()

    async def count(sock: socket.socket) -> None:
        await peer.answer.wait()
        await send(sock, b"\0")
        got = await receive_to_end(sock)
        await send(sock, b"you sent " + got)

    async with jump_server(in_turn(count)) as jump:
        async with bridge_over(jump.address) as (service, upstream):
            mark_known(upstream)
            with await early_client(service) as sock:
                await send(sock, b"hello")
                sock.shutdown(socket.SHUT_WR)
                (tunnel,) = service.sessions._alive
                await eventually(lambda: tunnel._client_ended)
                peer.answer.set()
                assert await receive_to_end(sock) == b"you sent hello"


async def test_early_client_reset_closes_the_tunnel(caplog):
    peer = ControlledPeer()
    async with jump_server(in_turn(peer.never_answer)) as jump:
        async with bridge_over(jump.address) as (service, upstream):
            mark_known(upstream)
            sock = await early_client(service)
            await send(sock, GET)
            await peer.requested.wait()
            reset(sock)
            await peer.closed.wait()
            assert len(service.sessions) == 0
            assert upstream.context.known.expects(TARGET, upstream.context.loop.time())
    assert "Connection reset by peer" in caplog.messages[-1]


async def test_replay_safe_early_data_survives_a_lost_connection():
    async def with_get(sock: socket.socket) -> None:
        assert await receive_exactly(sock, len(GET)) == GET
        await succeed(sock)

    async def fail(sock: socket.socket) -> None:
        await receive_exactly(sock, len(GET))
        await end_without_outcome(sock)

    async with jump_server(in_turn(fail, with_get)) as jump:
        async with bridge_over(jump.address, parked=2) as (service, upstream):
            mark_known(upstream)
            with await early_client(service) as sock:
                await send(sock, GET)
                await send(sock, b"more")
                assert await receive_exactly(sock, 4) == b"more"
