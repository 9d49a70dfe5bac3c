"""Floods of TLS records: a peer cannot keep the loop busy, and one that sends no data is cut."""

import asyncio
import socket
import ssl

import pytest

from netjumper.net.endpoint import Endpoint
from netjumper.relay.ending import RelayEnd
from netjumper.relay.relay import Relay
from netjumper.relay.splice import RelayMemory
from netjumper.tls.endpoint import TlsEndpoint
from netjumper.tls.engine import (
    MAX_BYTES_WITHOUT_DATA,
    MAX_CALL_BYTES,
    MAX_EMPTY_FILLS,
    MAX_READS,
    RECORD_BYTES,
    Engine,
)
from tests.support.peers import eventually, send, settled, tcp_pair
from tests.support.tls_pair import Reader, any_peer, tls_pair

pytestmark = pytest.mark.usefixtures("nothing_is_left")


class NeverAnyData:
    """TLS that is established and finds no data in any record, as in key updates."""

    server_side = True

    def __init__(self, incoming: ssl.MemoryBIO) -> None:
        self._incoming = incoming

    def do_handshake(self) -> None:
        """Do nothing: the handshake is complete."""

    def read(self, *_: object) -> int:
        self._incoming.read()
        raise ssl.SSLWantReadError

    def unwrap(self) -> None:
        """End without a message."""


def without_data(incoming: ssl.MemoryBIO, _: ssl.MemoryBIO) -> ssl.SSLObject:
    return NeverAnyData(incoming)  # type: ignore[return-value]


async def test_one_call_decrypts_a_limited_number_of_records(pair):
    client, server = pair
    for _ in range(10 * MAX_READS):
        assert client.send(b"x") == 1
    await eventually(lambda: not server.has_no_input)
    assert server.recv(65536) == b"x" * MAX_READS


async def test_records_beyond_the_limit_of_one_call_arrive_in_later_turns(pair):
    client, server = pair
    reader = Reader(server)
    for _ in range(10 * MAX_READS):
        client.send(b"x")
    await eventually(lambda: reader.data == b"x" * (10 * MAX_READS))


async def test_one_call_decrypts_a_limited_number_of_pieces_without_data():
    ours, theirs = tcp_pair()
    with theirs:
        end = TlsEndpoint(asyncio.get_running_loop(), ours, without_data, any_peer)
        await send(theirs, bytes(5 * RECORD_BYTES))
        assert end.recv(1000) is None
        assert end._engine.incoming.without_data == MAX_EMPTY_FILLS * RECORD_BYTES
        end.close()


async def test_peer_that_sends_no_data_for_long_is_cut():
    ours, theirs = tcp_pair()
    with theirs:
        end = TlsEndpoint(asyncio.get_running_loop(), ours, without_data, any_peer)
        reader = Reader(end)
        await send(theirs, bytes(MAX_BYTES_WITHOUT_DATA + 2 * RECORD_BYTES))
        await reader.over.wait()
        assert str(reader.error) == "the peer sends TLS records without data"
        end.close()


def test_data_resets_the_count_of_bytes_without_it():
    engine = Engine(lambda *_: Data(), any_peer)  # type: ignore[return-value,arg-type]
    engine.incoming.fill(lambda _: bytes(RECORD_BYTES))
    assert engine.incoming.without_data == RECORD_BYTES
    assert engine.decrypt(memoryview(bytearray(9))) == 9
    assert engine.incoming.without_data == 0


class Data:
    """TLS that always has data."""

    server_side = True

    def read(self, size: int, _: memoryview) -> int:
        return size


async def test_relay_keeps_little_for_a_peer_that_does_not_read():
    loop = asyncio.get_running_loop()
    theirs, ours = tcp_pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    near, target = tcp_pair()
    memory = RelayMemory()
    peer, end = await tls_pair(theirs, ours)
    with target:
        target.setblocking(False)
        relay = Relay(memory, end, Endpoint(loop, near), lambda _: None)
        relay.start()
        sending = asyncio.ensure_future(send(target, bytes(8_000_000)))
        await eventually(lambda: relay._down.blocked)
        await settled(lambda: relay.bytes_down)
        assert relay._down._pending is None
        assert len(end._engine.outgoing) <= MAX_CALL_BYTES + 1024
        sending.cancel()
        relay.stop(RelayEnd.SHUTDOWN)
    peer.close()
    memory.close()
