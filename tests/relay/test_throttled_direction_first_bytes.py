"""Bytes that were read before a throttled relay began."""

import asyncio
import os

import pytest

from netjumper.relay.bandwidth import MIN_QUANTUM, MIN_SAVED_BYTES
from netjumper.relay.ending import RelayEnd
from tests.support.peers import (
    eventually,
    nothing_to_receive,
    receive,
    receive_exactly,
    receive_to_reset,
    send,
)
from tests.support.relay_pair import MIB, SLOW, advancing

every_way = pytest.mark.parametrize("way", ["splice", "copy", "tls"])


FAST = 20_000_000


BURST_BYTES = MIN_QUANTUM + MIN_SAVED_BYTES
"""That of a slow one."""


@every_way
@pytest.mark.parametrize("client_ended", [False, True])
async def test_early_bytes_wait_for_a_turn_but_the_answer_does_not(
    join, spent, clock, client_ended
):
    async with join(start=False, bandwidth=spent) as it:
        it.relay.start(up=b"early", down=b"\0", client_ended=client_ended)
        assert await receive(it.client) == b"\0"
        assert it.relay._up in spent
        assert nothing_to_receive(it.target)
        clock.advance(2)
        assert await receive_exactly(it.target, 5) == b"early"
        if client_ended:
            assert await receive(it.target) == b""
        else:
            await send(it.client, b"more")
            assert await receive(it.target) == b"more"


@every_way
async def test_bytes_read_before_the_relay_and_early_bytes_count(join, slow):
    async with join(start=False, bandwidth=slow) as it:
        it.relay.start(up=bytes(1000), early=1000)
        assert slow._tokens == MIN_SAVED_BYTES - 2000
        assert await receive_exactly(it.target, 1000) == bytes(1000)


@every_way
async def test_bytes_read_before_the_relay_that_waited_count(join, spent, clock):
    async with join(start=False, bandwidth=spent) as it:
        began = clock.time()
        it.relay.start(up=bytes(100_000))
        async with advancing(clock):
            assert await receive_exactly(it.target, 100_000) == bytes(100_000)
        assert clock.time() - began > 1 + (100_000 - BURST_BYTES) / SLOW


@every_way
async def test_bytes_read_before_the_relay_take_one_turn_at_a_time(join, spent, clock):
    data = os.urandom(100_000)
    async with join(bandwidth=spent) as other, join(start=False, bandwidth=spent) as it:
        sending = asyncio.create_task(send(other.client, bytes(100_000)))
        await eventually(lambda: other.relay._up in spent)
        it.relay.start(up=data)
        await send(it.client, b"behind it")
        async with advancing(clock):
            await eventually(lambda: other.relay.bytes_up > 50_000)
            moved, others = len(data) - len(it.relay._up._first), other.relay.bytes_up
            assert await receive_exactly(it.target, 100_009) == data + b"behind it"
            await receive_exactly(other.target, 100_000)
        assert abs(moved - others) <= 2 * MIN_QUANTUM
        await sending


@every_way
async def test_late_reading_target_gets_early_bytes_in_order(join, slow, clock):
    slow.set_rate(FAST)
    data = os.urandom(MIB)
    async with join(start=False, small_buffers=True, bandwidth=slow) as it:
        it.relay.start(up=data)
        async with advancing(clock):
            await eventually(lambda: it.relay._up.blocked)
            await send(it.client, b"behind it")
            assert await receive_exactly(it.target, MIB + 9) == data + b"behind it"


@every_way
async def test_bytes_read_before_the_relay_are_dropped_when_it_ends(join, spent, clock):
    async with join(start=False, bandwidth=spent) as it:
        it.relay.start(up=b"early")
        it.relay.stop(RelayEnd.SHUTDOWN)
        assert it.relay._up not in spent
        assert clock.timers == 0
        assert await receive_to_reset(it.target) == b""
