"""The client library where the jump host is spoken to with TLS."""

import asyncio
import errno
import hashlib
import os
import signal
import socket
import sys
import threading
from urllib.parse import quote

import pytest

from netjumper import Jumper
from netjumper.addressing.address import Address
from netjumper.client import plain_socket
from netjumper.client.background_loop import in_background
from netjumper.errors import JumpHostUntrusted, OutOfResources, TargetRefused
from netjumper.sessions import manager
from netjumper.tls.context import client_with_pins
from tests.support.jumpers import connect
from tests.support.peers import (
    answer_after_end,
    closed_port,
    echo,
    eventually,
    no_descriptor_leaks,
    receive_to_end,
    reset_after,
    send,
    serving,
)
from tests.support.relay_pair import MIB
from tests.support.services import SECRET
from tests.support.tls_pair import Sides, sides_of, tls_jump_server


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return sides_of(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", autouse=True)
def _background() -> None:
    """Have its loop before any test counts descriptors."""
    in_background(asyncio.sleep(0))


def jumper(jump: Address, sides: Sides) -> Jumper:
    return Jumper(str(jump), SECRET, encryption=sides[0])


async def test_blocking_socket_over_tls_reaches_its_target(sides):
    def talk() -> bytes:
        with it.connect(str(target)) as sock:
            assert type(sock) is socket.socket
            assert sock.gettimeout() is None
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            return sock.recv(100)

    async with serving(answer_after_end) as target, tls_jump_server(sides) as jump:
        it = jumper(jump, sides)
        assert await asyncio.to_thread(talk) == b"5 bytes received"


async def test_socket_over_tls_has_the_requested_timeout(sides):
    async with serving(echo) as target, tls_jump_server(sides) as jump:
        with await connect(jumper(jump, sides), target, timeout=7.5) as sock:
            assert sock.gettimeout() == 7.5


async def test_streams_over_tls_reach_their_target(sides):
    data = os.urandom(3 * MIB)

    async def answer(sock: socket.socket) -> None:
        await send(sock, hashlib.sha256(await receive_to_end(sock)).digest())

    async with serving(answer) as target, tls_jump_server(sides) as jump:
        reader, writer = await jumper(jump, sides).open_connection(str(target))
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == hashlib.sha256(data).digest()
        writer.close()
        await writer.wait_closed()


async def test_reset_is_not_a_clean_end(sides):
    async with serving(reset_after(5, b"last words")) as target, tls_jump_server(sides) as jump:
        reader, writer = await jumper(jump, sides).open_connection(str(target))
        writer.write(b"hello")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_many_threads_share_one_loop_in_the_background(sides):
    def talk(number: int) -> bytes:
        with it.connect(str(target)) as sock:
            sock.sendall(b"%d" % number)
            return sock.recv(10)

    async with serving(echo) as target, tls_jump_server(sides) as jump:
        it = jumper(jump, sides)
        got = await asyncio.gather(*(asyncio.to_thread(talk, number) for number in range(20)))
        assert got == [b"%d" % number for number in range(20)]
        assert sum(thread.name == "netjumper" for thread in threading.enumerate()) == 1


async def test_reason_for_no_tunnel_is_reported_over_tls(sides):
    nobody = closed_port()
    async with tls_jump_server(sides) as jump:
        with pytest.raises(TargetRefused, match="connection refused"):
            await connect(jumper(jump, sides), nobody)
        stranger = Jumper(str(jump), SECRET, encryption=client_with_pins([b"x" * 32]))
        with pytest.raises(JumpHostUntrusted, match="not the pinned one"):
            await connect(stranger, nobody)
        with pytest.raises(JumpHostUntrusted, match="not the pinned one"):
            await stranger.open_connection(str(nobody))


async def test_url_chooses_the_encryption(sides):
    async with serving(echo) as target, tls_jump_server(sides) as jump:
        it = Jumper(f"netjumper+tls://:{quote(SECRET)}@{jump}?pin={'00' * 32}")
        with pytest.raises(JumpHostUntrusted, match="not the pinned one"):
            await connect(it, target)


@pytest.mark.skipif(not hasattr(socket, "TCP_LINGER2"), reason="its end looks like half of one")
async def test_nothing_is_left_of_a_socket_that_is_closed_while_the_target_is_silent(
    sides, monkeypatch
):
    for module in (plain_socket, manager):
        monkeypatch.setattr(module, "HALF_CLOSED_CHECK_INTERVAL_S", 0.05)

    async def silent_until_reset(sock: socket.socket) -> None:
        await receive_to_end(sock)
        await eventually(lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0)

    async with serving(silent_until_reset) as target, tls_jump_server(sides) as jump:
        async with no_descriptor_leaks():
            sock = await jumper(jump, sides).open_socket(str(target))
            sock.close()


def test_interrupted_caller_leaves_nothing_running():
    begun, over = threading.Event(), threading.Event()

    async def work() -> socket.socket:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            over.set()
        raise AssertionError

    def interrupt() -> None:
        begun.wait()
        while sys._current_frames()[main].f_code.co_name != "wait":
            os.sched_yield()
        signal.pthread_kill(main, signal.SIGUSR1)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, stop)
    helper = threading.Thread(target=interrupt)
    helper.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            in_background(work())
    finally:
        helper.join()
        signal.signal(signal.SIGUSR1, before)
    assert over.wait(10.0)


async def test_failure_to_make_a_pair_is_reported_and_leaves_nothing(sides, monkeypatch):
    def none_left() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(plain_socket, "_tcp_pair", none_left)
    async with serving(echo) as target, tls_jump_server(sides) as jump, no_descriptor_leaks():
        with pytest.raises(OutOfResources, match="too many open files"):
            await jumper(jump, sides).open_socket(str(target))
