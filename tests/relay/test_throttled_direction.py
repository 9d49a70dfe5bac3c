"""Relays with limited bandwidth, on a test clock: no byte passes before its time.

How bandwidth is shared is tested in `test_bandwidth`. That a throttled relay is like all others is
tested with the others: it is one of the `way`s there.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import socket
import sys

import pytest

from netjumper.net.endpoint import Endpoint
from netjumper.net.user_timeout import UserTimeoutSuspender, suspend_user_timeout, user_timeout_of
from netjumper.relay import direction
from netjumper.relay import splice as splice_module
from netjumper.relay.bandwidth import MIN_QUANTUM, MIN_SAVED_BYTES, Bandwidth
from netjumper.relay.ending import RelayEnd
from netjumper.relay.idle_timeout import IdleWatch
from tests.support.peers import (
    eventually,
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
from tests.support.relay_pair import (
    MIB,
    SIDES,
    SLOW,
    advancing,
    queued,
    receive_digest,
    send_random,
)
from tests.support.slow_reader import kernel_aborts_connection_of_slow_reader

every_way = pytest.mark.parametrize("way", ["splice", "copy", "tls"])


FAST = 20_000_000


BURST_BYTES = MIN_QUANTUM + MIN_SAVED_BYTES
"""The burst of a slow relay."""


@every_way
@pytest.mark.parametrize(("source", "sink", "rate"), [(*SIDES[0], SLOW), (*SIDES[1], FAST)])
async def test_the_rate_is_kept_and_the_sender_waits(join, clock, rate, source, sink):
    bandwidth = Bandwidth(clock, rate)
    async with join(bandwidth=bandwidth) as it:
        sending = asyncio.create_task(send_random(it.side(source), 64 * MIB))
        drinking = asyncio.create_task(receive_digest(it.side(sink), 64 * MIB))
        before = await settled(lambda: it.moved(source))
        assert 0 < before <= max(0.06 * rate, BURST_BYTES)
        for _ in range(3):
            clock.advance(0.05)
            now = await settled(lambda: it.moved(source))
            assert now - before == pytest.approx(0.05 * rate, abs=MIN_QUANTUM + 0.006 * rate)
            before = now
        assert not sending.done()
        bandwidth.set_rate(None)
        clock.advance(0.05)
        assert await drinking == await sending
        assert clock.timers == 0


@pytest.mark.skipif(not splice_module.CAN_SPLICE, reason="only Linux splices")
@pytest.mark.parametrize("way", ["splice"])
@pytest.mark.parametrize(("rate", "splices"), [(SLOW, False), (FAST, True)])
async def test_only_large_turns_are_spliced(join, clock, rate, splices, monkeypatch):
    moved = []

    def noting(source: int, sink: int, limit: int) -> int:
        moved.append(splice_module.splice(source, sink, limit))
        return moved[-1]

    monkeypatch.setattr(direction, "splice", noting)
    bandwidth = Bandwidth(clock, rate)
    bandwidth.spend(int(rate * 0.06))  # a burst would fill the whole buffer
    async with join(bandwidth=bandwidth) as it:
        data = os.urandom(int(rate / 2))
        sending = asyncio.create_task(send(it.client, data))
        async with advancing(clock):
            assert await receive_exactly(it.target, len(data)) == data
        await sending
    assert (sum(moved) > rate / 4) == splices


@every_way
async def test_both_directions_count_together(join, clock):
    async with join(bandwidth=Bandwidth(clock, FAST)) as it:
        pouring = [
            asyncio.create_task(send_random(sock, 64 * MIB)) for sock in (it.client, it.target)
        ]
        drinking = [
            asyncio.create_task(receive_digest(sock, 64 * MIB)) for sock in (it.client, it.target)
        ]
        for _ in range(4):
            clock.advance(0.05)
            moved = await settled(lambda: it.relay.bytes_up + it.relay.bytes_down)
        assert (0.2 - 0.01) * FAST <= moved <= (0.2 + 0.06) * FAST
        assert min(it.relay.bytes_up, it.relay.bytes_down) > 0.05 * FAST
        it.relay.stop(RelayEnd.SHUTDOWN)
        await asyncio.gather(*pouring, *drinking, return_exceptions=True)


@every_way
async def test_a_waiting_direction_has_no_pipe_and_is_not_read(join, spent, clock):
    async with join(bandwidth=spent) as it:
        pipes_before = open_descriptors()["pipe"]
        data = os.urandom(4096)
        for sock in (it.client, it.target):
            await send(sock, data)
        await eventually(lambda: it.relay._up in spent and it.relay._down in spent)
        assert not it.relay._up.source.is_read
        assert not it.relay._down.source.is_read
        it.memory.close()
        assert open_descriptors()["pipe"] == pipes_before
        assert (it.relay.bytes_up, it.relay.bytes_down) == (0, 0)
        assert clock.timers == 1
        clock.advance(2)
        assert await receive_exactly(it.target, 4096) == data
        assert await receive_exactly(it.client, 4096) == data
        assert clock.timers == 0


@every_way
@pytest.mark.parametrize(("first", "second"), SIDES)
async def test_an_end_of_stream_does_not_wait_for_a_turn(join, spent, first, second):
    async with join(bandwidth=spent) as it:
        it.side(first).shutdown(socket.SHUT_WR)
        assert await receive(it.side(second)) == b""
        assert not it.ended.done()
        it.side(second).shutdown(socket.SHUT_WR)
        assert await receive(it.side(first)) == b""
        assert await it.ended == RelayEnd.CLOSED


@every_way
@pytest.mark.parametrize(("lost", "other"), SIDES)
async def test_a_reset_does_not_wait_for_a_turn_and_stays_a_reset(join, spent, lost, other):
    async with join(bandwidth=spent) as it:
        reset(it.side(lost))
        assert await receive_to_reset(it.side(other)) == b""
        assert await it.ended in (RelayEnd.CLIENT_RESET, RelayEnd.TARGET_RESET)


@every_way
@pytest.mark.parametrize(("first", "second"), SIDES)
async def test_an_end_of_stream_follows_bytes_that_wait(join, slow, clock, first, second):
    async with join(bandwidth=slow) as it:
        data = os.urandom(100_000)
        await send(it.side(first), data)
        it.side(first).shutdown(socket.SHUT_WR)
        assert await settled(lambda: it.moved(first)) <= BURST_BYTES
        async with advancing(clock):
            assert await receive_to_end(it.side(second)) == data
        assert clock.timers == 0


@every_way
@pytest.mark.parametrize(("first", "second"), SIDES)
async def test_a_reset_follows_bytes_that_wait(join, slow, clock, first, second):
    async with join(bandwidth=slow) as it:
        data = os.urandom(100_000)
        await send(it.side(first), data)
        await eventually(lambda: queued(it.side(first)) == 0)
        reset(it.side(first))
        assert await settled(lambda: it.moved(first)) <= BURST_BYTES
        async with advancing(clock):
            assert await receive_to_reset(it.side(second)) == data
        assert clock.timers == 0


@every_way
@pytest.mark.parametrize("how", ["stopped", "client", "target"])
async def test_a_finished_relay_leaves_the_queue(join, spent, clock, how):
    async with join(bandwidth=spent) as it, join(bandwidth=spent) as other:
        for sock in (it.client, other.client):
            await send(sock, b"question")
        await eventually(lambda: it.relay._up in spent and other.relay._up in spent)
        if how == "stopped":
            it.relay.stop(RelayEnd.SHUTDOWN)
        elif how == "client":
            await eventually(lambda: queued(it.client) == 0)
            reset(it.client)
            clock.advance(2)
        else:
            reset(it.target)
        await it.ended
        assert it.relay._up not in spent
        assert it.relay._down not in spent
        clock.advance(2)
        assert await receive(other.target) == b"question"
        assert clock.timers == 0


@every_way
async def test_random_ends_neither_lose_nor_reorder_bytes(join, clock):
    """All that a side took before its peer's end is the beginning of what was sent."""
    dice = random.Random(20261123)
    bandwidth = Bandwidth(clock, 2_000_000, Bandwidth(clock, 3_000_000))
    async with advancing(clock):
        for _ in range(6):
            async with contextlib.AsyncExitStack() as stack:
                joined = [
                    await stack.enter_async_context(join(bandwidth=bandwidth)) for _ in range(4)
                ]
                await asyncio.gather(*(one_life(it, dice) for it in joined))
    assert clock.timers == 0


async def one_life(it, dice: random.Random) -> None:
    """Send both ways, half-close a side that is finished, and reset now and then."""
    sides = [it.client, it.target]
    dice.shuffle(sides)
    sent = [dice.randbytes(dice.choice([0, 1, 5000, 70_000, 400_000])) for _ in sides]
    if dice.random() < 0.5:  # both end on their own
        got = await asyncio.gather(
            *(say(sock, data) for sock, data in zip(sides, sent, strict=True)),
            *(receive_to_end(sock) for sock in reversed(sides)),
        )
        assert [digest(data) for data in got[2:]] == [digest(data) for data in sent]
        assert await it.ended == RelayEnd.CLOSED
        return
    sending = asyncio.create_task(send(sides[0], sent[0] + bytes(8 * MIB)))
    wanted = dice.randrange(100_000)
    got = await receive_exactly(sides[1], wanted)
    assert digest(got) == digest((sent[0] + bytes(8 * MIB))[:wanted])
    reset(sides[1])
    with contextlib.suppress(ConnectionError):  # unless the kernel has taken all of it before
        await sending
    assert await it.ended in (RelayEnd.CLIENT_RESET, RelayEnd.TARGET_RESET)


async def say(sock: socket.socket, data: bytes) -> None:
    await send(sock, data)
    sock.shutdown(socket.SHUT_WR)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@every_way
async def test_a_throttled_relay_is_not_idle(join, clock):
    bandwidth = Bandwidth(clock, 1)
    bandwidth.spend(MIN_SAVED_BYTES + 300)
    async with join(bandwidth=bandwidth) as it:
        watch = IdleWatch(clock, 60.0)
        watch.add(it.relay)
        await send(it.client, b"question")
        await eventually(lambda: it.relay._up in bandwidth)
        clock.advance(299)
        assert not it.ended.done()
        clock.advance(2)
        assert await receive(it.target) == b"question"
        clock.advance(90)
        assert await it.ended == RelayEnd.IDLE
        watch.remove(it.relay)


@pytest.mark.parametrize("way", ["copy"])
@pytest.mark.skipif(sys.platform != "linux", reason="Linux' user timeout")
async def test_relay_throttled_beyond_the_user_timeout_is_not_aborted(join, spent, clock):
    """Neither side aborts: the sender also suspends its user timeout for a slow reader."""
    loop = asyncio.get_running_loop()
    milliseconds = user_timeout_of(1.0)

    def impatient_pair() -> tuple[socket.socket, socket.socket]:
        pair = tcp_pair()
        for sock in pair:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        return pair

    async with join(pair=impatient_pair, bandwidth=spent) as it:
        served = [it.relay, Sender(loop, it.client)]
        UserTimeoutSuspender(loop, 1.0, served).start()
        sending = asyncio.create_task(send_random(it.client, 16 * MIB))
        await eventually(lambda: it.relay._up in spent)
        await kernel_aborts_connection_of_slow_reader(milliseconds)
        assert it.relay.bytes_up == 0
        spent.set_rate(None)
        clock.advance(1)
        assert await receive_digest(it.target, 16 * MIB) == await sending
        served.clear()


class Sender(Endpoint):
    """A peer that suspends its own user timeout."""

    def suspend_timeouts(self, milliseconds: int) -> None:
        suspend_user_timeout(self, milliseconds)
