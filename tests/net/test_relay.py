"""The relay: what one side sends, the other side gets, and how it ends."""

import asyncio
import contextlib
import errno
import hashlib
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from netjumper.net import direction, pipes
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.net.idle import IdleWatch
from netjumper.net.pipes import BUFFER_SIZE, PIPE_SIZE, RelayMemory
from netjumper.net.relay import Ending, Relay
from rogues import (
    CHUNK,
    eventually,
    no_descriptor_is_left,
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

MIB = 1024 * 1024
SMALL_BUFFER = 64 * 1024
SIDES = [("client", "target"), ("target", "client")]


@dataclass
class Joined:
    """A relay, and the far ends of the two connections that it joins."""

    relay: Relay
    memory: RelayMemory
    client: socket.socket
    target: socket.socket
    ended: asyncio.Future[Ending]

    def side(self, name: str) -> socket.socket:
        return self.client if name == "client" else self.target

    def moved(self, source: str) -> int:
        return self.relay.bytes_up if source == "client" else self.relay.bytes_down


@pytest.fixture(params=[True, False], ids=["splice", "copy"])
def splice(request: pytest.FixtureRequest) -> bool:
    if request.param and not pipes.CAN_SPLICE:
        pytest.skip("only Linux splices")
    return request.param


@pytest.fixture
async def memory(splice: bool) -> AsyncIterator[RelayMemory]:
    memory = RelayMemory(splice=splice)
    yield memory
    memory.close()


Join = Callable[..., contextlib.AbstractAsyncContextManager[Joined]]


@pytest.fixture
def join(memory: RelayMemory) -> Join:
    """Return what makes a relay, starts it (unless told not to) and misses no descriptor."""

    @contextlib.asynccontextmanager
    async def joined(
        *,
        pair: Callable[[], tuple[socket.socket, socket.socket]] = tcp_pair,
        start: bool = True,
        small_buffers: bool = False,
    ) -> AsyncIterator[Joined]:
        loop = asyncio.get_running_loop()
        async with no_descriptor_is_left():
            client, near_client = pair()
            near_target, target = pair()
            if small_buffers:  # on the way out; on the way in there is room for a full read
                for near, far in ((near_client, client), (near_target, target)):
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
                    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
            ended: asyncio.Future[Ending] = loop.create_future()
            relay = Relay(
                memory, Endpoint(loop, near_client), Endpoint(loop, near_target), ended.set_result
            )
            if start:
                relay.start()
            with client, target:
                yield Joined(relay, memory, client, target, ended)
                relay.stop(Ending.SHUTDOWN)
            memory.close()

    return joined


@pytest.mark.parametrize(("first", "other"), SIDES)
async def test_a_reset_behind_an_end_of_stream_is_noticed_by_looking(memory, first, other):
    """Nobody reads a side that has sent everything, so nothing tells when it is reset."""
    loop = asyncio.get_running_loop()
    half_closed: Deadlines[Relay] = Deadlines(loop, 0.01, Relay.check_half_closed)
    async with no_descriptor_is_left():
        client, near_client = tcp_pair()
        near_target, target = tcp_pair()
        sides = {"client": client, "target": target}
        ended: asyncio.Future[Ending] = loop.create_future()
        ends = Endpoint(loop, near_client), Endpoint(loop, near_target)
        relay = Relay(memory, *ends, ended.set_result, half_closed)
        relay.start()
        sides[first].shutdown(socket.SHUT_WR)
        assert await receive(sides[other]) == b""
        assert len(half_closed) == 1
        reset(sides[first])
        assert await ended is (Ending.CLIENT_RESET if first == "client" else Ending.TARGET_RESET)
        assert len(half_closed) == 0
        with pytest.raises(BrokenPipeError):  # what a reset behind an end of stream is called
            sides[other].send(b"too late")
        sides[other].close()


async def test_a_half_closed_relay_that_is_well_is_left_alone(memory):
    loop = asyncio.get_running_loop()
    looks = 0

    def look(relay: Relay) -> None:
        nonlocal looks
        looks += 1
        relay.check_half_closed()

    half_closed: Deadlines[Relay] = Deadlines(loop, 0.001, look)
    client, near_client = tcp_pair()
    near_target, target = tcp_pair()
    ended: asyncio.Future[Ending] = loop.create_future()
    ends = Endpoint(loop, near_client), Endpoint(loop, near_target)
    relay = Relay(memory, *ends, ended.set_result, half_closed)
    relay.start()
    with client, target:
        client.shutdown(socket.SHUT_WR)
        await eventually(lambda: looks >= 3)
        await send(target, b"the answer")
        target.shutdown(socket.SHUT_WR)
        assert await receive_to_end(client) == b"the answer"
        assert await ended is Ending.CLOSED
    assert len(half_closed) == 0


def queued(sock: socket.socket) -> int:
    """How many sent bytes the other side's kernel has not acknowledged."""
    import fcntl
    import termios

    return struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]


async def pour(sock: socket.socket, size: int) -> str:
    """Send that many bytes, no block like another, and return their SHA-256."""
    digest = hashlib.sha256()
    block = os.urandom(MIB)
    for number in range(size // MIB):
        part = number.to_bytes(8) + block[8:]
        digest.update(part)
        await send(sock, part)
    return digest.hexdigest()


async def drink(sock: socket.socket, size: int) -> str:
    """Receive that many bytes and return their SHA-256."""
    digest = hashlib.sha256()
    while size and (data := await receive(sock, min(size, MIB))):
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()


# --- both directions ----------------------------------------------------------------------


async def test_what_one_side_sends_the_other_gets(join):
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
        assert await it.ended == Ending.CLOSED


async def test_bulk_goes_both_ways_at_once_unharmed(join, splice, monkeypatch):
    size = 64 * MIB
    spliced = 0

    def counting(source: int, sink: int, limit: int) -> int:
        nonlocal spliced
        moved = pipes.splice(source, sink, limit)
        spliced += moved
        return moved

    monkeypatch.setattr(direction, "splice", counting)
    async with join() as it:
        up, down, up_got, down_got = await asyncio.gather(
            pour(it.client, size),
            pour(it.target, size),
            drink(it.target, size),
            drink(it.client, size),
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
            sent, got = await asyncio.gather(pour(it.client, 8 * MIB), drink(it.target, 8 * MIB))
            assert got == sent


async def test_bulk_may_end_in_the_middle_of_a_pipeful(join):
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
        sent, got = await asyncio.gather(pour(it.client, 8 * MIB), drink(it.target, 8 * MIB))
        assert got == sent
        it.target.close()
        assert await receive(it.client) == b""
        it.client.close()
        assert await it.ended in (Ending.CLOSED, Ending.TARGET_RESET)


# --- a peer that does not read ------------------------------------------------------------


@pytest.mark.parametrize(("source", "sink"), SIDES)
async def test_a_peer_that_does_not_read_stops_the_sender_and_loses_nothing(join, source, sink):
    async with join(small_buffers=True) as it:
        size = 32 * MIB
        sending = asyncio.create_task(pour(it.side(source), size))
        taken = await settled(lambda: it.moved(source))
        assert not sending.done()
        # Beside the relay's own share, the kernel keeps twice what it was asked for.
        assert 0 < taken <= PIPE_SIZE + BUFFER_SIZE + 2 * (2 * SMALL_BUFFER)
        assert await drink(it.side(sink), size) == await sending


async def test_the_other_direction_goes_on_while_one_is_blocked(join):
    async with join(small_buffers=True) as it:
        sending = asyncio.create_task(pour(it.client, 8 * MIB))
        await settled(lambda: it.relay.bytes_up)
        for _ in range(10):
            await send(it.target, b"tick")
            assert await receive(it.client) == b"tick"
        assert await drink(it.target, 8 * MIB) == await sending


# --- resets -------------------------------------------------------------------------------


RESETS = {"client": Ending.CLIENT_RESET, "target": Ending.TARGET_RESET}


@pytest.mark.parametrize(("lost", "other"), SIDES)
@pytest.mark.parametrize("size", [0, 10, 2 * MIB])
async def test_a_reset_reaches_the_other_side_behind_what_was_sent_before(join, lost, other, size):
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


@pytest.mark.parametrize(("lost", "other"), SIDES)
async def test_a_reset_met_while_sending_still_comes_behind_what_was_sent_before(join, lost, other):
    """The relay reads nothing more of a side whose bytes it cannot deliver, so it meets the
    reset when it sends to that side."""
    async with join(small_buffers=True) as it:
        data = os.urandom(4 * MIB)
        lost_side, other_side = it.side(lost), it.side(other)
        sending = asyncio.create_task(send(lost_side, data))
        await settled(lambda: it.moved(lost))
        got = bytearray()
        while not sending.done() or queued(lost_side):
            got += await receive(other_side, 4096)
        reset(lost_side)
        await send(other_side, b"into the void")
        await settled(lambda: it.moved(other))
        got += await receive_to_reset(other_side)
        assert got == data
        assert await it.ended == RESETS[lost]


@pytest.mark.parametrize(("lost", "other"), SIDES)
async def test_a_reset_met_while_passing_an_end_on_is_passed_on_too(join, lost, other):
    async with join(small_buffers=True) as it:
        data = os.urandom(4 * MIB)
        lost_side, other_side = it.side(lost), it.side(other)
        sending = asyncio.create_task(send(lost_side, data))
        await settled(lambda: it.moved(lost))
        got = bytearray()
        while not sending.done() or queued(lost_side):
            got += await receive(other_side, 4096)
        reset(lost_side)
        other_side.shutdown(socket.SHUT_WR)
        await settled(lambda: it.moved(other))
        got += await receive_to_reset(other_side)
        assert got == data
        assert await it.ended == RESETS[lost]


@pytest.mark.parametrize(("lost", "other"), SIDES)
async def test_a_side_that_is_lost_after_its_own_end_resets_the_other(join, lost, other):
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
async def test_a_reset_in_the_middle_of_bulk_is_no_clean_end(join, lost, other):
    async with join() as it:
        pouring = asyncio.create_task(pour(it.side(other), 64 * MIB))
        await receive_exactly(it.side(lost), 4 * MIB)
        reset(it.side(lost))
        with pytest.raises(ConnectionError):
            await pouring
        assert await it.ended == RESETS[lost]


async def test_stopping_a_relay_resets_both_sides(join):
    async with join() as it:
        await send(it.client, b"hello")
        assert await receive(it.target) == b"hello"
        it.relay.stop(Ending.SHUTDOWN)
        assert await it.ended == Ending.SHUTDOWN
        assert await receive_to_reset(it.client) == b""
        assert await receive_to_reset(it.target) == b""
        it.relay.stop(Ending.IDLE)


async def test_stopping_a_relay_with_a_full_pipe_lets_go_of_it(join):
    async with join(small_buffers=True) as it:
        sending = asyncio.create_task(pour(it.client, 32 * MIB))
        await settled(lambda: it.relay.bytes_up)
        it.relay.stop(Ending.SHUTDOWN)
        with pytest.raises(ConnectionError):
            await sending
        await receive_to_reset(it.target)


@pytest.mark.parametrize("lost", ["client", "target"])
async def test_what_a_cut_off_tunnel_left_behind_never_reaches_another(join, lost):
    """Pipes are used again, and one that still holds bytes must not be."""
    async with join(small_buffers=True) as cut, join() as other:
        sending = asyncio.create_task(pour(cut.client, 32 * MIB))
        await settled(lambda: cut.relay.bytes_up)
        if lost == "target":
            reset(cut.target)
        else:
            cut.relay.stop(Ending.SHUTDOWN)
        with pytest.raises(ConnectionError):
            await sending
        assert await cut.ended in (Ending.TARGET_RESET, Ending.SHUTDOWN)
        sent, got = await asyncio.gather(
            pour(other.client, 16 * MIB), drink(other.target, 16 * MIB)
        )
        assert got == sent


# --- what was read before it began --------------------------------------------------------


async def test_what_was_read_before_comes_first_even_when_it_does_not_fit(join):
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
async def test_a_client_that_has_ended_before_is_ended_behind_its_bytes(join, size):
    async with join(start=False) as it:
        up = os.urandom(size)
        it.relay.start(up=up, client_ended=True)
        assert await receive_to_end(it.target) == up
        await send(it.target, b"the answer")
        it.target.shutdown(socket.SHUT_WR)
        assert await receive_to_end(it.client) == b"the answer"
        assert await it.ended == Ending.CLOSED


async def test_a_client_that_is_gone_before_the_start_resets_the_target(join):
    async with join(start=False) as it:
        reset(it.client)
        it.relay.start(up=b"early", down=b"\0")
        assert await receive_to_reset(it.target) == b"early"
        assert await it.ended == Ending.CLIENT_RESET


async def test_a_client_that_has_ended_and_is_gone_resets_the_target(join):
    async with join(start=False) as it:
        reset(it.client)
        it.relay.start(up=b"early", down=b"\0", client_ended=True)
        assert await receive_to_reset(it.target) == b"early"
        assert await it.ended == Ending.CLIENT_RESET


async def test_a_target_that_is_gone_before_the_start_resets_the_client(join):
    async with join(start=False) as it:
        reset(it.target)
        it.relay.start(up=b"early", down=b"\0")
        assert await receive_to_reset(it.client) == b"\0"
        assert await it.ended == Ending.TARGET_RESET


# --- what it owns -------------------------------------------------------------------------


async def test_an_idle_relay_owns_no_pipe_and_no_timer(join):
    loop = asyncio.get_running_loop()
    async with join(start=False) as it:
        pipes_before = open_descriptors()["pipe"]
        timers_before = len(getattr(loop, "_scheduled", ()))  # uvloop does not show its own
        it.relay.start()
        sent, got = await asyncio.gather(pour(it.client, 16 * MIB), drink(it.target, 16 * MIB))
        assert got == sent
        assert len(getattr(loop, "_scheduled", ())) == timers_before
        it.memory.close()  # the idle pipes, which are nobody's
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
            sent, got = await asyncio.gather(pour(it.client, 8 * MIB), drink(it.target, 8 * MIB))
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
        sent, got = await asyncio.gather(pour(it.client, 8 * MIB), drink(it.target, 8 * MIB))
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
        sent, got = await asyncio.gather(pour(client, 8 * MIB), drink(target, 8 * MIB))
        assert got == sent
        relay.stop(Ending.SHUTDOWN)


async def test_a_splice_with_nothing_to_move_is_no_end(join, splice, monkeypatch):
    """A socket may be called readable when it is not (select(2), "Bugs")."""
    spurious = [True, True, True]

    def nothing_at_first(source: int, sink: int, limit: int) -> int:
        if spurious:
            spurious.pop()
            raise BlockingIOError
        return pipes.splice(source, sink, limit)

    monkeypatch.setattr(direction, "splice", nothing_at_first)
    async with join() as it:
        sent, got = await asyncio.gather(pour(it.client, 32 * MIB), drink(it.target, 32 * MIB))
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
        assert await idle.ended == Ending.IDLE
        assert await receive_to_reset(idle.client) == b""
        assert not busy.ended.done()
        assert nothing_to_receive(busy.client)
        watch.remove(idle.relay)
        watch.remove(busy.relay)
