"""Early data through a jump host: which segments it leaves in, and what it cannot do."""

import asyncio
import socket
import sys
from collections.abc import Callable

import pytest

from netjumper.addressing.address import Address
from netjumper.client.jump_host import MAX_EARLY_DATA_BYTES, JumpConnection, JumpHost
from netjumper.errors import JumpHostProtocolError
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint
from netjumper.protocol.wire import answer_to
from tests.support.peers import (
    eventually,
    receive,
    receive_exactly,
    receive_to_reset,
    send,
    serving,
)
from tests.support.scripted_jump_server import (
    TARGET,
    end_without_outcome,
    jump_server,
    silent,
    succeed,
)
from tests.support.scripted_peer import CHALLENGE, scripted
from tests.support.services import SECRET, destination, resolver

ANSWER = b"\x14" + answer_to(CHALLENGE[1:], SECRET)
EARLY = b"first bytes"


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def host_at(address: Address) -> JumpHost:
    loop = asyncio.get_running_loop()
    return JumpHost(loop, address, SECRET, Dialer(loop, timeout=1.0, resolver=resolver()), 5.0)


async def parked_at(host: JumpHost) -> JumpConnection:
    connection = JumpConnection(host)
    parked = asyncio.Event()
    connection.park(parked.set, lambda error: pytest.fail(str(error)))
    connection.dial()
    await parked.wait()
    return connection


class Outcome(asyncio.Future[Endpoint]):
    """What becomes of a connection's request."""

    def of(self, connection: JumpConnection, *, early_is_near: bool = False) -> "Outcome":
        connection.request(TARGET, self.set_result, self.set_exception, early_is_near=early_is_near)
        return self

    async def close(self) -> None:
        (await self).close()


class Segments(list[bytes]):
    """The destination and what came with it, as one look at each connection finds it."""

    async def note(self, sock: socket.socket) -> None:
        if segment := await receive(sock):
            self.append(segment)
            await succeed(sock)


async def test_on_a_new_connection_it_leaves_with_answer_and_destination():
    segments = Segments()

    async def cold(sock: socket.socket) -> None:
        await send(sock, CHALLENGE)
        segments.append(await receive(sock))
        await scripted(b"\0")(sock)
        await succeed(sock)

    async with serving(cold) as jump:
        connection = JumpConnection(host_at(jump.address))
        outcome = Outcome().of(connection)
        connection.dial()
        connection.send_early(EARLY[:5])
        connection.send_early(EARLY[5:])
        await outcome.close()
    assert segments == [ANSWER + destination(TARGET) + EARLY]


@pytest.mark.parametrize("near", [True, False])
async def test_on_a_parked_one_it_leaves_with_the_destination_in_the_same_turn_of_the_loop(near):
    segments = Segments()
    async with jump_server(segments.note) as jump:
        connection = await parked_at(host_at(jump.address))
        outcome = Outcome().of(connection, early_is_near=near)
        connection.send_early(EARLY)
        await outcome.close()
    assert segments == [destination(TARGET) + EARLY]


async def test_destination_waits_for_early_data(monkeypatch):
    monkeypatch.setattr("netjumper.client.jump_host.CORK_TIME_S", 30.0)
    segments = Segments()
    async with jump_server(segments.note) as jump:
        connection = await parked_at(host_at(jump.address))
        outcome = Outcome().of(connection, early_is_near=True)
        for _ in range(10):
            await asyncio.sleep(0)
        connection.send_early(EARLY)
        await outcome.close()
    assert segments == [destination(TARGET) + EARLY]


async def test_destination_waits_a_short_time_only():
    segments = Segments()
    async with jump_server(segments.note) as jump:
        host = host_at(jump.address)
        outcome = Outcome().of(await parked_at(host), early_is_near=True)
        assert len(host.corked) == 1
        assert not segments
        await outcome.close()
        assert len(host.corked) == 0
    assert segments == [destination(TARGET)]


async def test_destination_leaves_at_once_without_early_data():
    segments = Segments()
    async with jump_server(segments.note) as jump:
        host = host_at(jump.address)
        outcome = Outcome().of(await parked_at(host))
        assert len(host.corked) == 0
        await outcome.close()
    assert segments == [destination(TARGET)]


async def test_data_in_the_turn_of_the_outcome_is_not_lost():
    async with jump_server(stand_and_echo_at_once) as jump:
        connection = await parked_at(host_at(jump.address))
        outcome = Outcome().of(connection)
        connection._endpoint.stop_reading()
        await eventually(lambda: not connection.has_no_input)  # the outcome waits to be read
        connection.send_early(EARLY)
        connection._on_readable()
        with (await outcome).detach() as sock:
            assert await receive_exactly(sock, len(EARLY)) == EARLY


async def stand_and_echo_at_once(sock: socket.socket) -> None:
    await receive_exactly(sock, len(destination(TARGET)))
    await succeed(sock)


async def test_there_is_room_for_a_first_flight(monkeypatch):
    segments: list[bytes] = []

    async def take_all(sock: socket.socket) -> None:
        segments.append(
            await receive_exactly(sock, len(destination(TARGET)) + MAX_EARLY_DATA_BYTES)
        )
        await succeed(sock)

    async with jump_server(take_all) as jump:
        connection = await parked_at(host_at(jump.address))
        outcome = Outcome().of(connection)
        assert connection.early_data_budget == MAX_EARLY_DATA_BYTES
        connection.send_early(EARLY)
        assert connection.early_data_budget == MAX_EARLY_DATA_BYTES - len(EARLY)
        connection.send_early(bytes(connection.early_data_budget))
        assert connection.early_data_budget == 0
        assert not connection.optimistic
        await outcome.close()
    assert segments == [destination(TARGET) + EARLY + bytes(MAX_EARLY_DATA_BYTES - len(EARLY))]


@pytest.mark.parametrize(
    "give_up",
    [
        pytest.param(lambda connection: connection.cancel(), id="cancelled"),
        pytest.param(lambda connection: connection.expire(), id="expired"),
    ],
)
async def test_cancelled_corked_destination_is_not_sent(give_up: Callable[..., None]):
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def note(sock: socket.socket) -> None:
        seen.set_result(await receive(sock))

    async with jump_server(note) as jump:
        host = host_at(jump.address)
        connection = await parked_at(host)
        outcome = Outcome()
        connection.request(
            TARGET, outcome.set_result, lambda _: outcome.cancel(), early_is_near=True
        )
        connection.send_early(EARLY)
        give_up(connection)
        assert await seen == b""
        assert len(host.corked) == len(host.deadlines) == 0


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(lambda connection: connection.cancel(), id="cancelled"),
        pytest.param(lambda connection: connection.expire(), id="expired"),
        pytest.param(lambda connection: connection._endpoint._sock.close(), id="killed"),
    ],
)
async def test_early_data_of_a_cancelled_attempt_ends_with_a_reset(leave: Callable[..., None]):
    """With an end of stream the target would take what it got for all there is."""
    segments, ended = Segments(), asyncio.Event()

    async def note(sock: socket.socket) -> None:
        segments.append(await receive(sock))
        assert await receive_to_reset(sock) == b""
        ended.set()

    async with jump_server(note) as jump:
        connection = await parked_at(host_at(jump.address))
        connection.request(TARGET, lambda _: None, lambda _: None)
        connection.send_early(EARLY)
        await eventually(lambda: bool(segments))
        loop, fd = asyncio.get_running_loop(), connection._endpoint.fd
        loop.remove_reader(fd)
        leave(connection)
        await ended.wait()
        connection.cancel()
    assert segments == [destination(TARGET) + EARLY]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_tcp_info_is_available_while_connected():
    async with jump_server(silent) as jump:
        connection = await parked_at(host_at(jump.address))
        assert connection.has_no_input
        assert connection.is_authenticated
        assert connection.peer == (jump.address.host, jump.address.port)
        assert connection.info.rtt > 0
        connection.cancel()
        assert not connection.has_no_input
        assert connection.peer is None
        assert connection.info is None


async def test_connection_lost_while_its_destination_waits_is_reported(monkeypatch):
    monkeypatch.setattr("netjumper.client.jump_host.CORK_TIME_S", 30.0)
    ending = asyncio.Event()

    async def end(sock: socket.socket) -> None:
        await ending.wait()
        await end_without_outcome(sock)

    async with jump_server(end) as jump:
        host = host_at(jump.address)
        outcome = Outcome().of(await parked_at(host), early_is_near=True)
        ending.set()
        with pytest.raises(JumpHostProtocolError):
            await outcome
        assert len(host.corked) == 0
