"""Many tunnels, and tunnels with unusual ends, through both commands."""

import asyncio
import contextlib
import signal
import socket
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.programs import Chain, running

TUNNELS = 500


async def through_socks(
    chain: Chain, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, socks_port = chain.socks.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(socks_port))
    writer.write(b"\5\1\0" + b"\5\1\0\1" + socket.inet_aton("127.0.0.1") + port.to_bytes(2))
    assert await reader.readexactly(2) == b"\5\0"
    assert (await reader.readexactly(10))[1] == 0
    return reader, writer


@asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=TUNNELS)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_500_concurrent_tunnels_do_not_mix_their_data(chain: Chain) -> None:
    async with echo_server() as port:
        tunnels = await asyncio.gather(*(through_socks(chain, port) for _ in range(TUNNELS)))
        for number, (_, writer) in enumerate(tunnels):
            writer.write(b"this is tunnel %d" % number)
            writer.write_eof()
        replies = await asyncio.gather(*(reader.read() for reader, _ in tunnels))
        for _, writer in tunnels:
            writer.close()

    assert replies == [b"this is tunnel %d" % number for number in range(TUNNELS)]


def test_target_may_answer_after_the_end_of_the_request(chain: Chain) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_after_eof() -> None:
            peer, _ = server.accept()
            with peer:
                request = b"".join(iter(lambda: peer.recv(65536), b""))
                peer.sendall(b"%d bytes" % len(request))

        target = threading.Thread(target=answer_after_eof)
        target.start()
        host, _, port = chain.socks.rpartition(":")
        with socket.create_connection((host, int(port)), 20) as sock:
            there = b"\5\1\0\1" + socket.inet_aton("127.0.0.1")
            sock.sendall(b"\5\1\0" + there + server.getsockname()[1].to_bytes(2))
            assert sock.recv(2, socket.MSG_WAITALL) == b"\5\0"
            assert sock.recv(10, socket.MSG_WAITALL)[1] == 0
            sock.sendall(bytes(1_000_000))
            sock.shutdown(socket.SHUT_WR)

            assert b"".join(iter(lambda: sock.recv(65536), b"")) == b"1000000 bytes"
        target.join()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_both_commands_exit_with_status_0_on_a_signal(first: signal.Signals) -> None:
    with running("netjumper-bridge", "--embedded", "--socks", "127.0.0.1:0") as bridge:
        bridge.address("SOCKS")
        bridge.process.send_signal(first)

        assert bridge.process.wait(20) == 0


async def test_answer_followed_by_a_reset_ends_every_tunnel(chain: Chain) -> None:
    async def answer_and_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(b"answer")
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async def ask(port: int) -> bytes:
        reader, writer = await through_socks(chain, port)
        writer.write(b"ping")
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while more := await reader.read(100):
                data += more
            raise AssertionError("a clean end of stream, not a reset")
        writer.close()
        return data

    server = await asyncio.start_server(answer_and_reset, "127.0.0.1", 0, backlog=TUNNELS)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answers = await asyncio.gather(*(ask(port) for _ in range(100)))

    assert set(answers) <= {b"answer", b""}
