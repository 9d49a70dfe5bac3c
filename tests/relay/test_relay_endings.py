"""How a relay ends: resets, ends of stream, and being stopped."""

import asyncio
import os
import socket

import pytest

from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.relay.ending import RelayEnd
from netjumper.relay.relay import Relay
from netjumper.relay.splice import BUFFER_SIZE
from tests.support.peers import (
    eventually,
    no_descriptor_leaks,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
    settled,
    tcp_pair,
)
from tests.support.relay_pair import MIB, SIDES, queued, receive_digest, send_random

RESETS = {"client": RelayEnd.CLIENT_RESET, "target": RelayEnd.TARGET_RESET}


@pytest.mark.parametrize(("lost", "other"), SIDES)
@pytest.mark.parametrize("size", [0, 10, 2 * MIB])
async def test_a_reset_reaches_the_other_side_after_the_bytes_before_it(join, lost, other, size):
    async with join() as it:
        data = os.urandom(size)
        await send(it.side(lost), data)
        await eventually(lambda: queued(it.side(lost)) == 0)
        reset(it.side(lost))
        assert await receive_to_reset(it.side(other)) == data
        assert await it.ended == RESETS[lost]


@pytest.mark.parametrize(("lost", "other"), SIDES)
async def test_a_reset_waits_for_a_side_that_reads_late(join, lost, other):
    async with join(small_buffers=True) as it:
        data = os.urandom(BUFFER_SIZE)
        await send(it.side(lost), data)
        await eventually(lambda: queued(it.side(lost)) == 0)
        reset(it.side(lost))
        await settled(lambda: it.moved(lost))
        got = bytearray()
        while len(got) < len(data):
            got += await receive(it.side(other), 4096)
        assert got == data
        assert await receive_to_reset(it.side(other)) == b""


def write(sock: socket.socket) -> None:
    assert sock.send(b"into the void") == len(b"into the void")


def end(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(("lost", "other"), SIDES)
@pytest.mark.parametrize("passed_on", [write, end])
async def test_a_reset_found_by_a_send_is_delivered_after_the_bytes_before_it(
    join, lost, other, passed_on
):
    """The relay reads nothing more of a side whose bytes it cannot deliver, so it meets the
    reset when it passes something on to that side."""
    async with join(small_buffers=True) as it:
        data = os.urandom(4 * MIB)
        lost_side, other_side = it.side(lost), it.side(other)
        sending = asyncio.create_task(send(lost_side, data))
        await settled(lambda: it.moved(lost))
        got = bytearray()
        while not sending.done() or queued(lost_side):
            got += await receive(other_side, 4096)
        reset(lost_side)
        passed_on(other_side)
        await settled(lambda: it.moved(other))
        got += await receive_to_reset(other_side)
        assert got == data
        assert await it.ended == RESETS[lost]


@pytest.mark.parametrize(("lost", "other"), SIDES)
async def test_a_side_lost_after_its_own_end_of_stream_resets_the_other(join, lost, other):
    async with join() as it:
        it.side(lost).shutdown(socket.SHUT_WR)
        assert await receive(it.side(other)) == b""
        reset(it.side(lost))
        await eventually(lambda: _send_fails(it.side(other)))
        assert await it.ended == RESETS[lost]


def _send_fails(sock: socket.socket) -> bool:
    try:
        sock.send(b"into the void")
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize(("lost", "other"), SIDES)
async def test_a_reset_in_the_middle_of_bulk_is_not_an_end_of_stream(join, lost, other):
    async with join() as it:
        pouring = asyncio.create_task(send_random(it.side(other), 64 * MIB))
        await receive_exactly(it.side(lost), 4 * MIB)
        reset(it.side(lost))
        with pytest.raises(ConnectionError):
            await pouring
        assert await it.ended == RESETS[lost]


async def test_stopping_a_relay_resets_both_sides(join):
    async with join() as it:
        await send(it.client, b"hello")
        assert await receive(it.target) == b"hello"
        it.relay.stop(RelayEnd.SHUTDOWN)
        assert await it.ended == RelayEnd.SHUTDOWN
        assert await receive_to_reset(it.client) == b""
        assert await receive_to_reset(it.target) == b""
        it.relay.stop(RelayEnd.IDLE)


async def test_stopping_a_relay_with_a_full_pipe_closes_the_pipe(join):
    async with join(small_buffers=True) as it:
        sending = asyncio.create_task(send_random(it.client, 32 * MIB))
        await settled(lambda: it.relay.bytes_up)
        it.relay.stop(RelayEnd.SHUTDOWN)
        with pytest.raises(ConnectionError):
            await sending
        await receive_to_reset(it.target)


@pytest.mark.parametrize("lost", ["client", "target"])
async def test_bytes_of_an_aborted_tunnel_never_reach_another(join, lost):
    """Pipes are reused, except one that still holds bytes."""
    async with join(small_buffers=True) as cut, join() as other:
        sending = asyncio.create_task(send_random(cut.client, 32 * MIB))
        await settled(lambda: cut.relay.bytes_up)
        if lost == "target":
            reset(cut.target)
        else:
            cut.relay.stop(RelayEnd.SHUTDOWN)
        with pytest.raises(ConnectionError):
            await sending
        assert await cut.ended in (RelayEnd.TARGET_RESET, RelayEnd.SHUTDOWN)
        sent, got = await asyncio.gather(
            send_random(other.client, 16 * MIB), receive_digest(other.target, 16 * MIB)
        )
        assert got == sent


@pytest.mark.parametrize(("first", "other"), SIDES)
async def test_a_reset_after_an_end_of_stream_is_found_by_the_check(memory, first, other):
    """A side that has sent everything is not read, so its reset is not reported."""
    loop = asyncio.get_running_loop()
    half_closed: Deadlines[Relay] = Deadlines(loop, 0.01, Relay.check_half_closed)
    async with no_descriptor_leaks():
        client, near_client = tcp_pair()
        near_target, target = tcp_pair()
        sides = {"client": client, "target": target}
        ended: asyncio.Future[RelayEnd] = loop.create_future()
        ends = Endpoint(loop, near_client), Endpoint(loop, near_target)
        relay = Relay(memory, *ends, ended.set_result, half_closed)
        relay.start()
        sides[first].shutdown(socket.SHUT_WR)
        assert await receive(sides[other]) == b""
        assert len(half_closed) == 1
        reset(sides[first])
        assert await ended is (
            RelayEnd.CLIENT_RESET if first == "client" else RelayEnd.TARGET_RESET
        )
        assert len(half_closed) == 0
        with pytest.raises(BrokenPipeError):  # what a reset behind an end of stream is called
            sides[other].send(b"too late")
        sides[other].close()


async def test_a_healthy_half_closed_relay_is_not_ended(memory):
    loop = asyncio.get_running_loop()
    looks = 0

    def look(relay: Relay) -> None:
        nonlocal looks
        looks += 1
        relay.check_half_closed()

    half_closed: Deadlines[Relay] = Deadlines(loop, 0.001, look)
    client, near_client = tcp_pair()
    near_target, target = tcp_pair()
    ended: asyncio.Future[RelayEnd] = loop.create_future()
    ends = Endpoint(loop, near_client), Endpoint(loop, near_target)
    relay = Relay(memory, *ends, ended.set_result, half_closed)
    relay.start()
    with client, target:
        client.shutdown(socket.SHUT_WR)
        await eventually(lambda: looks >= 3)
        await send(target, b"the answer")
        target.shutdown(socket.SHUT_WR)
        assert await receive_to_end(client) == b"the answer"
        assert await ended is RelayEnd.CLOSED
    assert len(half_closed) == 0
