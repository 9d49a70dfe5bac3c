"""One end of a tunnel: a socket on the loop."""

import asyncio
import socket

import pytest

from netjumper.errors import NetjumperError
from netjumper.net import endpoint as endpoint_module
from netjumper.net.dialer import UnsupportedLoop, require_watching
from netjumper.net.endpoint import Endpoint
from tests.support.peers import (
    eventually,
    no_descriptor_leaks,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
)


def fill(endpoint: Endpoint) -> int:
    """Send until there is no more room; return how many bytes that took."""
    total = 0
    while count := endpoint.send(b"x" * 65536):
        total += count
    return total


async def test_receiving_without_anything_there_gives_none(pair):
    endpoint, _ = pair
    assert endpoint.recv(10) is None
    assert endpoint.recv_into(memoryview(bytearray(10))) is None


async def test_received_bytes_and_the_end_of_the_stream(pair):
    endpoint, theirs = pair
    readable = asyncio.Event()
    endpoint.start_reading(readable.set)
    await send(theirs, b"hello")
    await readable.wait()
    assert endpoint.recv(3) == b"hel"
    buffer = bytearray(10)
    assert endpoint.recv_into(memoryview(buffer)) == 2
    assert buffer[:2] == b"lo"
    theirs.shutdown(socket.SHUT_WR)
    await eventually(lambda: endpoint.recv(1) == b"")
    assert endpoint.recv_into(memoryview(buffer)) == 0


async def test_sending_without_room_sends_nothing(pair):
    endpoint, _ = pair
    assert fill(endpoint) > 0
    assert endpoint.send(b"more") == 0


async def test_a_shutdown_ends_one_direction_only(pair):
    endpoint, theirs = pair
    endpoint.send(b"last")
    endpoint.shutdown_write()
    assert await receive_to_end(theirs) == b"last"
    await send(theirs, b"answer")
    await eventually(lambda: endpoint.recv(10) == b"answer")


async def test_a_lost_connection_raises(pair):
    endpoint, theirs = pair
    reset(theirs)
    with pytest.raises(ConnectionResetError):
        endpoint.recv(1)
    with pytest.raises(BrokenPipeError):
        endpoint.send(b"x")
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the platform
        endpoint.shutdown_write()


async def test_the_callback_is_called_until_reading_stops(pair):
    endpoint, theirs = pair
    calls: list[int] = []
    twice = asyncio.Event()

    def on_readable() -> None:
        calls.append(1)
        if len(calls) == 2:
            endpoint.stop_reading()
            twice.set()

    endpoint.start_reading(on_readable)
    await send(theirs, b"unread, so it stays readable")
    await twice.wait()
    await asyncio.sleep(0)
    assert len(calls) == 2
    endpoint.stop_reading()


async def test_writing_callback_is_called_when_there_is_room(pair):
    endpoint, theirs = pair
    total = fill(endpoint)
    room = asyncio.Event()
    endpoint.start_writing(room.set)
    await asyncio.sleep(0)
    assert not room.is_set()
    await receive_exactly(theirs, total)
    await room.wait()
    endpoint.stop_writing()
    endpoint.stop_writing()


async def test_closing_twice_is_closing_once(pair):
    endpoint, theirs = pair
    endpoint.start_reading(lambda: None)
    endpoint.start_writing(lambda: None)
    endpoint.close()
    endpoint.close()
    assert await receive(theirs) == b""


async def test_a_detached_socket_lives_on(pair):
    endpoint, theirs = pair
    endpoint.start_reading(lambda: None)
    with endpoint.detach() as sock:
        await send(theirs, b"still there")
        assert await receive(sock) == b"still there"


async def test_reset_on_exit_does_not_affect_a_close(pair):
    endpoint, theirs = pair
    endpoint.reset_on_exit()
    size = fill(endpoint)
    endpoint.close()
    assert len(await receive_to_end(theirs)) == size


async def test_reset_on_exit_resets_if_the_process_dies(pair):
    endpoint, theirs = pair
    endpoint.reset_on_exit()
    endpoint.detach().close()  # as the kernel does where the process is killed
    assert await receive_to_reset(theirs) == b""


async def test_an_abort_is_a_reset(pair):
    endpoint, theirs = pair
    endpoint.abort()
    assert await receive_to_reset(theirs) == b""


async def test_an_abort_comes_after_what_was_sent_before(pair):
    endpoint, theirs = pair
    total = fill(endpoint)
    endpoint.abort()
    assert len(await receive_to_reset(theirs)) == total


async def test_an_abort_waits_for_a_slow_reader_as_long_as_it_reads(pair, monkeypatch):
    # All in all the reader takes several times as long as the patience with one that does not.
    monkeypatch.setattr(endpoint_module, "RESET_TIMEOUT_S", 0.5)
    endpoint, theirs = pair
    total = fill(endpoint)
    endpoint.abort()
    got = 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + 1.5:
        got += len(await receive(theirs, total // 20))
        await asyncio.sleep(0.1)  # this is what makes it slow
    assert got + len(await receive_to_reset(theirs)) == total


async def test_an_abort_does_not_wait_for_ever(pair, monkeypatch):
    monkeypatch.setattr(endpoint_module, "RESET_TIMEOUT_S", 0.05)
    endpoint, theirs = pair
    total = fill(endpoint)
    endpoint.abort()
    await eventually(lambda: endpoint._sock.fileno() < 0)
    assert len(await receive_to_reset(theirs)) < total


async def test_a_reset_waits_for_nothing(pair):
    endpoint, theirs = pair
    total = fill(endpoint)
    endpoint.reset()
    assert endpoint._sock.fileno() < 0
    assert len(await receive_to_reset(theirs)) < total


async def test_an_abort_waits_for_nothing_when_the_peer_has_reset(pair):
    endpoint, theirs = pair
    fill(endpoint)
    reset(theirs)
    endpoint.abort()
    assert endpoint._sock.fileno() < 0


async def test_a_unix_socket_is_aborted_by_closing_it():
    async with no_descriptor_leaks():
        ours, theirs = socket.socketpair()
        with theirs:
            for sock in (ours, theirs):
                sock.setblocking(False)
            endpoint = Endpoint(asyncio.get_running_loop(), ours)
            endpoint.send(b"last")
            endpoint.abort()
            assert await receive_to_end(theirs) == b"last"


async def test_abort_after_close_does_nothing(pair):
    endpoint, _ = pair
    endpoint.close()
    endpoint.abort()


def test_a_loop_that_cannot_watch_sockets_is_named():
    class ProactorLike(asyncio.AbstractEventLoop):
        pass

    with pytest.raises(UnsupportedLoop, match=r"ProactorLike .* asyncio\.SelectorEventLoop") as it:
        require_watching(ProactorLike())
    assert isinstance(it.value, NetjumperError)
    assert isinstance(it.value, NotImplementedError)
