"""How a TLS endpoint ends: close, abort, reset, and ends without `close_notify`."""

import asyncio
import os
import socket
import ssl

import pytest

from netjumper.net.endpoint import Endpoint
from netjumper.relay.ending import RelayEnd
from netjumper.relay.relay import Relay
from netjumper.relay.splice import RelayMemory
from netjumper.tls.errors import is_cut
from tests.support.peers import (
    eventually,
    no_descriptor_leaks,
    receive_to_end,
    reset,
    send,
    settled,
    tcp_pair,
)
from tests.support.relay_pair import SMALL_BUFFER, queued
from tests.support.tls_pair import Reader, tls_pair


async def test_close_delivers_everything_that_was_taken():
    async with no_descriptor_leaks():
        ours, theirs = tcp_pair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        client, server = await tls_pair(ours, theirs)
        sent = 0
        while taken := client.send(b"x" * 65536):
            sent += taken
        client.close()
        client.close()
        reader = Reader(server)
        await reader.over.wait()
        assert (len(reader.data), reader.error) == (sent, None)
        server.close()


async def test_peer_that_does_not_read_keeps_no_closed_connection(monkeypatch):
    monkeypatch.setattr("netjumper.tls.endpoint.RESET_TIMEOUT_S", 0.05)
    async with no_descriptor_leaks():
        ours, theirs = tcp_pair()
        client, server = await tls_pair(ours, theirs)
        while client.send(b"x" * 65536):
            pass
        client.close()
        await eventually(lambda: ours.fileno() < 0)
        server.close()


async def test_end_without_close_notify_is_an_error(pair):
    client, server = pair
    client.send(b"half of it")
    reader = Reader(server)
    await eventually(lambda: reader.data == b"half of it")
    client._sock.shutdown(socket.SHUT_WR)  # anything on the path can send a FIN
    await reader.over.wait()
    assert is_cut(reader.error)


async def test_abort_is_an_error_for_the_peer(pair):
    client, server = pair
    client.send(b"half of it")
    client.abort()
    reader = Reader(server)
    await reader.over.wait()
    assert reader.data == b"half of it"
    assert isinstance(reader.error, OSError)


async def test_reset_does_not_wait_for_room():
    async with no_descriptor_leaks():
        ours, theirs = tcp_pair()
        client, server = await tls_pair(ours, theirs)
        while client.send(b"x" * 65536):
            pass
        assert client.has_unsent
        client.reset()
        assert ours.fileno() < 0
        assert not asyncio.get_running_loop().remove_writer(client.fd)
        server.close()


async def test_parked_connection_has_no_input_until_it_ends(pair):
    client, server = pair
    assert client.has_no_input
    server.send(b"x")
    await eventually(lambda: not client.has_no_input)
    assert client.recv(0) == b""
    assert client.recv(1) == b"x"
    assert client.recv(1) is None
    assert client.has_no_input
    server.close()
    await eventually(lambda: not client.has_no_input)


async def test_at_eof_takes_nothing(pair):
    client, server = pair
    assert not server.at_eof()
    client.send(b"hello")
    client.shutdown_write()
    await eventually(lambda: not server.has_no_input)
    for _ in range(3):
        assert not server.at_eof()
    assert server.recv(10) + server.recv(10) == b"hello"
    await eventually(server.at_eof)
    assert server.recv(10) == b""


async def test_end_without_close_notify_is_not_eof(pair):
    client, server = pair
    client.detach().close()
    await eventually(lambda: not server.has_no_input)
    with pytest.raises(ssl.SSLError):
        server.at_eof()


async def test_relay_ends_after_its_last_byte_was_sent(monkeypatch):
    """The socket has no room for `close_notify`, the last record, at first."""
    is_full = [True]
    original = Endpoint.send

    def send_if_not_full(it: Endpoint, record: bytes) -> int:
        return 0 if it is end and is_full[0] and len(record) < 100 else original(it, record)

    loop = asyncio.get_running_loop()
    data = os.urandom(30_000)
    theirs, ours = tcp_pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    near, target = tcp_pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    memory = RelayMemory()
    async with no_descriptor_leaks():
        peer, end = await tls_pair(theirs, ours)
        monkeypatch.setattr(Endpoint, "send", send_if_not_full)
        with target:
            await send(target, data)
            target.shutdown(socket.SHUT_WR)
            await eventually(lambda: queued(target) == 0)
            peer.shutdown_write()
            ended: asyncio.Future[RelayEnd] = loop.create_future()
            relay = Relay(memory, end, Endpoint(loop, near), ended.set_result)
            relay.start()
            assert await receive_to_end(target) == b""
            assert await settled(lambda: relay.bytes_down) == len(data)
            await eventually(lambda: end.has_unsent)
            assert not ended.done()
            is_full[0] = False
            reader = Reader(peer)
            await reader.over.wait()
            assert (reader.data, reader.error) == (data, None)
            assert await ended is RelayEnd.CLOSED
        peer.close()
        memory.close()


async def test_peer_lost_before_the_last_byte_is_a_reset():
    loop = asyncio.get_running_loop()
    theirs, ours = tcp_pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    near, target = tcp_pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    memory = RelayMemory()
    async with no_descriptor_leaks():
        peer, end = await tls_pair(theirs, ours)
        with target:
            await send(target, bytes(30_000))
            target.shutdown(socket.SHUT_WR)
            await eventually(lambda: queued(target) == 0)
            ended: asyncio.Future[RelayEnd] = loop.create_future()
            relay = Relay(memory, end, Endpoint(loop, near), ended.set_result)
            relay.start()
            await settled(lambda: relay.bytes_down)
            reset(peer.detach())
            assert await ended is RelayEnd.CLIENT_RESET
        memory.close()
