"""The relay: what one side sends, the other side gets; how it ends is in `test_relay_endings`."""

import asyncio
import errno
import os
import resource
import socket

import pytest

from netjumper.net.endpoint import Endpoint
from netjumper.relay import direction
from netjumper.relay import splice as splice_module
from netjumper.relay.ending import RelayEnd
from netjumper.relay.idle_timeout import IdleWatch
from netjumper.relay.relay import Relay
from netjumper.relay.splice import BUFFER_SIZE, PIPE_SIZE
from tests.support.peers import (
    CHUNK,
    nothing_to_receive,
    open_descriptors,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
    settled,
    tcp_pair,
)
from tests.support.relay_pair import MIB, SIDES, SMALL_BUFFER, receive_digest, send_random

# --- both directions ----------------------------------------------------------------------


async def test_each_side_receives_what_the_other_sends(join):
    async with join() as it:
        await send(it.client, b"question")
        assert await receive(it.target) == b"question"
        await send(it.target, b"the answer")
        assert await receive(it.client) == b"the answer"
        assert (it.relay.bytes_up, it.relay.bytes_down) == (8, 10)


@pytest.mark.parametrize(("first", "second"), SIDES)
async def test_each_direction_ends_on_its_own(join, first, second):
    async with join() as it:
        await send(it.side(first), b"all I have to say")
        it.side(first).shutdown(socket.SHUT_WR)
        assert await receive_to_end(it.side(second)) == b"all I have to say"
        assert not it.ended.done()
        # A peer that answers only after the end of what it was sent.
        await send(it.side(second), b"thanks")
        assert await receive(it.side(first)) == b"thanks"
        it.side(second).shutdown(socket.SHUT_WR)
        assert await receive(it.side(first)) == b""
        assert await it.ended == RelayEnd.CLOSED


async def test_bulk_in_both_directions_at_once_is_intact(join, splice, monkeypatch):
    size = 64 * MIB
    spliced = 0

    def counting(source: int, sink: int, limit: int) -> int:
        nonlocal spliced
        moved = splice_module.splice(source, sink, limit)
        spliced += moved
        return moved

    monkeypatch.setattr(direction, "splice", counting)
    async with join() as it:
        up, down, up_got, down_got = await asyncio.gather(
            send_random(it.client, size),
            send_random(it.target, size),
            receive_digest(it.target, size),
            receive_digest(it.client, size),
        )
        assert (up_got, down_got) == (up, down)
        assert (it.relay.bytes_up, it.relay.bytes_down) == (size, size)
    assert (spliced > size) == splice


async def test_small_and_bulk_traffic_alternate(join):
    async with join() as it:
        for _ in range(3):
            for number in range(20):
                await send(it.client, b"%d" % number)
                assert await receive(it.target) == b"%d" % number
            sent, got = await asyncio.gather(
                send_random(it.client, 8 * MIB), receive_digest(it.target, 8 * MIB)
            )
            assert got == sent


async def test_bulk_can_end_with_a_partly_filled_pipe(join):
    async with join() as it:
        data = os.urandom(5 * MIB + 12345)
        sending = asyncio.create_task(send(it.target, data))
        sending.add_done_callback(lambda _: it.target.shutdown(socket.SHUT_WR))
        assert await receive_to_end(it.client) == data


async def test_unix_sockets_are_relayed_too(join):
    def unix_pair() -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for sock in pair:
            sock.setblocking(False)
        return pair

    async with join(pair=unix_pair) as it:
        sent, got = await asyncio.gather(
            send_random(it.client, 8 * MIB), receive_digest(it.target, 8 * MIB)
        )
        assert got == sent
        it.target.close()
        assert await receive(it.client) == b""
        it.client.close()
        assert await it.ended in (RelayEnd.CLOSED, RelayEnd.TARGET_RESET)


# --- a peer that does not read ------------------------------------------------------------


@pytest.mark.parametrize(("source", "sink"), SIDES)
async def test_a_peer_that_does_not_read_stops_the_sender_without_loss(join, source, sink, way):
    async with join(small_buffers=True) as it:
        size = 32 * MIB
        sending = asyncio.create_task(send_random(it.side(source), size))
        taken = await settled(lambda: it.moved(source))
        assert not sending.done()
        # Beside the relay's own share, the kernel keeps twice what it was asked for.
        share = PIPE_SIZE + BUFFER_SIZE + 2 * (2 * SMALL_BUFFER)
        assert 0 < taken <= (2 * share if way == "tls" else share)
        assert await receive_digest(it.side(sink), size) == await sending


async def test_the_other_direction_goes_on_while_one_is_blocked(join):
    async with join(small_buffers=True) as it:
        sending = asyncio.create_task(send_random(it.client, 8 * MIB))
        await settled(lambda: it.relay.bytes_up)
        for _ in range(10):
            await send(it.target, b"tick")
            assert await receive(it.client) == b"tick"
        assert await receive_digest(it.target, 8 * MIB) == await sending


# --- bytes read before the start ----------------------------------------------------------


async def test_bytes_read_before_the_relay_come_first_even_if_they_do_not_fit(join):
    async with join(start=False) as it:
        up, down = os.urandom(8 * MIB), os.urandom(9 * MIB)
        it.relay.start(up=up, down=down)
        await send(it.client, b"and more up")
        await send(it.target, b"and more down")
        assert await receive_exactly(it.target, len(up)) == up
        assert await receive(it.target) == b"and more up"
        assert await receive_exactly(it.client, len(down)) == down
        assert await receive(it.client) == b"and more down"
        assert it.relay.bytes_up == len(up) + 11
        assert it.relay.bytes_down == 13, "what came first was not the target's"


@pytest.mark.parametrize("size", [0, 10, 8 * MIB])
async def test_the_end_of_stream_of_a_client_that_ended_before_follows_its_bytes(join, size):
    async with join(start=False) as it:
        up = os.urandom(size)
        it.relay.start(up=up, client_ended=True)
        assert await receive_to_end(it.target) == up
        await send(it.target, b"the answer")
        it.target.shutdown(socket.SHUT_WR)
        assert await receive_to_end(it.client) == b"the answer"
        assert await it.ended == RelayEnd.CLOSED


async def test_a_client_that_is_gone_before_the_start_resets_the_target(join):
    async with join(start=False) as it:
        reset(it.client)
        it.relay.start(up=b"early", down=b"\0")
        assert await receive_to_reset(it.target) == b"early"
        assert await it.ended == RelayEnd.CLIENT_RESET


async def test_a_client_that_has_ended_and_is_gone_resets_the_target(join):
    async with join(start=False) as it:
        reset(it.client)
        it.relay.start(up=b"early", down=b"\0", client_ended=True)
        assert await receive_to_reset(it.target) == b"early"
        assert await it.ended == RelayEnd.CLIENT_RESET


async def test_a_target_that_is_gone_before_the_start_resets_the_client(join):
    async with join(start=False) as it:
        reset(it.target)
        it.relay.start(up=b"early", down=b"\0")
        assert await receive_to_reset(it.client) == b"\0"
        assert await it.ended == RelayEnd.TARGET_RESET


# --- resources ----------------------------------------------------------------------------


async def test_an_idle_relay_has_no_pipe_and_no_timer(join):
    loop = asyncio.get_running_loop()
    async with join(start=False) as it:
        pipes_before = open_descriptors()["pipe"]
        timers_before = len(getattr(loop, "_scheduled", ()))  # uvloop does not show its own
        it.relay.start()
        sent, got = await asyncio.gather(
            send_random(it.client, 16 * MIB), receive_digest(it.target, 16 * MIB)
        )
        assert got == sent
        assert len(getattr(loop, "_scheduled", ())) == timers_before
        it.memory.close()  # the idle pipes, which no relay owns
        assert open_descriptors()["pipe"] == pipes_before
        await send(it.client, b"still there")
        assert await receive(it.target) == b"still there"


async def test_without_a_descriptor_for_a_pipe_bytes_are_copied(join):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with join() as it:
        lowest_free = os.dup(0)
        os.close(lowest_free)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            sent, got = await asyncio.gather(
                send_random(it.client, 8 * MIB), receive_digest(it.target, 8 * MIB)
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert got == sent


async def test_sockets_that_cannot_be_spliced_are_copied(join, splice, monkeypatch):
    calls = 0

    def refuse(source: int, sink: int, limit: int) -> int:
        nonlocal calls
        calls += 1
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(direction, "splice", refuse)
    async with join() as it:
        sent, got = await asyncio.gather(
            send_random(it.client, 8 * MIB), receive_digest(it.target, 8 * MIB)
        )
        assert got == sent
    assert calls == (1 if splice else 0)


async def test_an_endpoint_without_a_plain_descriptor_is_never_spliced(memory, monkeypatch):
    class Encrypted(Endpoint):
        __slots__ = ()

        @property
        def plain_fd(self) -> None:
            return None

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(direction, "splice", None)
    client, near_client = tcp_pair()
    near_target, target = tcp_pair()
    with client, target:
        ended = loop.create_future()
        relay = Relay(
            memory, Encrypted(loop, near_client), Endpoint(loop, near_target), ended.set_result
        )
        relay.start()
        sent, got = await asyncio.gather(
            send_random(client, 8 * MIB), receive_digest(target, 8 * MIB)
        )
        assert got == sent
        relay.stop(RelayEnd.SHUTDOWN)


async def test_a_splice_with_nothing_to_move_is_not_an_end_of_stream(join, splice, monkeypatch):
    """A socket may be called readable when it is not (select(2), "Bugs")."""
    spurious = [True, True, True]

    def nothing_at_first(source: int, sink: int, limit: int) -> int:
        if spurious:
            spurious.pop()
            raise BlockingIOError
        return splice_module.splice(source, sink, limit)

    monkeypatch.setattr(direction, "splice", nothing_at_first)
    async with join() as it:
        sent, got = await asyncio.gather(
            send_random(it.client, 32 * MIB), receive_digest(it.target, 32 * MIB)
        )
        assert got == sent
    assert bool(spurious) != splice


# --- idle timeout -------------------------------------------------------------------------


async def test_an_idle_relay_is_ended_and_a_busy_one_is_not(join):
    watch = IdleWatch(asyncio.get_running_loop(), 0.2)
    async with join() as idle, join() as busy:
        watch.add(idle.relay)
        watch.add(busy.relay)
        while not idle.ended.done():
            await send(busy.client, b"tick")
            assert await receive(busy.target, CHUNK) == b"tick"
        assert await idle.ended == RelayEnd.IDLE
        assert await receive_to_reset(idle.client) == b""
        assert not busy.ended.done()
        assert nothing_to_receive(busy.client)
        watch.remove(idle.relay)
        watch.remove(busy.relay)
