"""An endpoint with TLS: handshake, end, and what is no TLS; relays over it are elsewhere."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator

import pytest

from netjumper.net.endpoint import Endpoint
from netjumper.relay.ending import RelayEnd
from netjumper.relay.relay import Relay
from netjumper.relay.splice import RelayMemory
from netjumper.tls.endpoint import AT_ONCE, TlsEndpoint
from netjumper.tls.engine import MOST_ASKED_FOR, Outgoing
from netjumper.tls.errors import is_cut
from tests.support.peers import (
    eventually,
    no_descriptor_is_left,
    receive,
    receive_to_end,
    reset,
    send,
    settled,
    tcp_pair,
)
from tests.support.relay_pair import SMALL_BUFFER, queued
from tests.support.tls_pair import HOST, any_peer, contexts, new_tls_pair, tls_pair

Pair = tuple[TlsEndpoint, TlsEndpoint]


class Reader:
    """Keeps all that an endpoint receives, and how it ended."""

    def __init__(self, endpoint: Endpoint, at_once: int = 65536) -> None:
        self.data = b""
        self.error: OSError | None = None
        self._endpoint, self._at_once = endpoint, at_once
        self.over = asyncio.Event()
        endpoint.start_reading(self._read)

    def _read(self) -> None:
        try:
            data = self._endpoint.recv(self._at_once)
        except OSError as error:
            self.error = error
            data = b""
        if data == b"":
            self._endpoint.stop_reading()
            self.over.set()
        elif data:
            self.data += data


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with no_descriptor_is_left():
        client, server = await tls_pair(*tcp_pair())
        yield client, server
        client.close()
        server.close()


@pytest.fixture
async def apart() -> AsyncIterator[tuple[TlsEndpoint, socket.socket]]:
    """A client's end, and the socket at the other."""
    async with no_descriptor_is_left():
        ours, theirs = tcp_pair()
        trusting, _ = contexts()
        loop = asyncio.get_running_loop()
        end = TlsEndpoint(
            loop, ours, lambda *buffers: trusting.wrap_bio(*buffers, server_hostname=HOST), any_peer
        )
        with theirs:
            yield end, theirs
            end.close()


async def test_what_was_sent_before_the_handshakes_end_is_not_lost():
    async with no_descriptor_is_left():
        client, server = new_tls_pair(*tcp_pair())
        assert client.send(b"question") == 8
        assert server.send(b"challenge") == 9
        client.shutdown_write()
        at_client, at_server = Reader(client), Reader(server)
        await at_server.over.wait()
        assert (at_server.data, at_server.error) == (b"question", None)
        await eventually(lambda: at_client.data == b"challenge")
        server.shutdown_write()
        await at_client.over.wait()
        assert at_client.error is None
        client.close()
        server.close()


async def test_it_takes_no_more_than_a_bounded_number_of_bytes_before(apart):
    end, _ = apart
    assert end.send(b"x" * (AT_ONCE + 1)) == AT_ONCE
    assert end.send(b"x") == 0


async def test_nothing_of_what_is_sent_can_be_read_on_the_way():
    ours, near = tcp_pair()
    far, theirs = tcp_pair()
    seen = b""

    async def carry(source: socket.socket, sink: socket.socket) -> None:
        nonlocal seen
        with contextlib.suppress(OSError):
            while data := await receive(source):
                seen += data
                await send(sink, data)
            sink.shutdown(socket.SHUT_WR)

    with near, far:
        carrying = asyncio.gather(carry(near, far), carry(far, near))
        client, server = await tls_pair(ours, theirs)
        client.send(b"correct horse battery staple")
        reader = Reader(server)
        await eventually(lambda: reader.data == b"correct horse battery staple")
        client.close()
        server.close()
        await carrying
    assert len(seen) > 100
    assert b"horse" not in seen


@pytest.mark.parametrize("at_once", [1, 1000, 16 * 1024, 1024 * 1024])
async def test_what_comes_is_given_in_pieces_of_any_size(pair, at_once):
    client, server = pair
    data = bytes(range(256)) * 64
    client.send(data)
    client.shutdown_write()
    reader = Reader(server, at_once)
    await reader.over.wait()
    assert reader.data == data


async def test_one_that_is_not_read_any_more_calls_nobody(pair):
    client, server = pair
    client.send(b"x" * 40_000)
    calls = 0

    def once() -> None:
        nonlocal calls
        if server.recv(1):
            calls += 1
            server.stop_reading()

    server.start_reading(once)
    await eventually(lambda: calls == 1)
    client.send(b"y")
    await asyncio.sleep(0)
    assert (calls, server.is_read) == (1, False)
    rest = Reader(server)
    await eventually(lambda: len(rest.data) == 40_000)


async def test_where_there_is_no_room_it_takes_no_more_and_tells_when_there_is():
    ours, theirs = tcp_pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    client, server = await tls_pair(ours, theirs)
    sent = 0
    while taken := client.send(b"x" * 65536):
        sent += taken
    assert client.send(b"more") == 0
    room = asyncio.Event()
    client.start_writing(room.set)
    reader = Reader(server)
    await room.wait()
    client.stop_writing()
    await eventually(lambda: len(reader.data) == sent)
    client.close()
    server.close()


async def test_closing_loses_nothing_of_what_was_taken():
    async with no_descriptor_is_left():
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


async def test_a_peer_that_does_not_read_does_not_keep_a_closed_connection(monkeypatch):
    monkeypatch.setattr("netjumper.tls.endpoint.RESET_TIMEOUT_S", 0.05)
    async with no_descriptor_is_left():
        ours, theirs = tcp_pair()
        client, server = await tls_pair(ours, theirs)
        while client.send(b"x" * 65536):
            pass
        client.close()
        await eventually(lambda: ours.fileno() < 0)
        server.close()


async def test_an_end_without_a_word_is_a_cut(pair):
    client, server = pair
    client.send(b"half of it")
    reader = Reader(server)
    await eventually(lambda: reader.data == b"half of it")
    client._sock.shutdown(socket.SHUT_WR)  # FIN, as anybody on the way can send it
    await reader.over.wait()
    assert is_cut(reader.error)


async def test_an_abort_is_one_too(pair):
    client, server = pair
    client.send(b"half of it")
    client.abort()
    reader = Reader(server)
    await reader.over.wait()
    assert reader.data == b"half of it"
    assert isinstance(reader.error, OSError)


async def test_one_that_is_reset_is_gone_at_once_and_waits_for_no_room():
    async with no_descriptor_is_left():
        ours, theirs = tcp_pair()
        client, server = await tls_pair(ours, theirs)
        while client.send(b"x" * 65536):
            pass
        assert client.has_unsent
        client.reset()
        assert ours.fileno() < 0
        assert not asyncio.get_running_loop().remove_writer(client.fd)
        server.close()


async def test_a_parked_one_is_silent_until_it_ends(pair):
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


async def test_that_the_end_is_next_is_told_without_taking_anything(pair):
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


async def test_a_cut_is_no_end(pair):
    client, server = pair
    client.detach().close()
    await eventually(lambda: not server.has_no_input)
    with pytest.raises(ssl.SSLError):
        server.at_eof()


async def test_the_answer_is_held_back_for_the_targets_first_bytes(pair):
    client, server = pair
    reader = Reader(client)
    assert server.send_with_next(b"\0") == 1
    assert server.send(b"hello") == 5
    await eventually(lambda: reader.data == b"\0hello")
    server.send_with_next(b"\0")
    server.push()
    server.push()
    await eventually(lambda: reader.data == b"\0hello\0")
    server.send_with_next(b"bye")
    server.shutdown_write()
    await reader.over.wait()
    assert reader.data == b"\0hello\0bye"


@pytest.mark.parametrize(
    "garbage", [b"\x20" + b"x" * 32, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x01\xff\xff"]
)
async def test_what_is_no_tls_is_an_error(apart, garbage):
    end, theirs = apart
    await send(theirs, garbage)
    theirs.shutdown(socket.SHUT_WR)
    reader = Reader(end)
    await reader.over.wait()
    assert isinstance(reader.error, ssl.SSLError)
    assert reader.data == b""


async def test_a_client_that_speaks_in_the_clear_is_told_nothing():
    async with no_descriptor_is_left():
        ours, theirs = tcp_pair()
        _, serving = contexts()
        loop = asyncio.get_running_loop()
        end = TlsEndpoint(
            loop, ours, lambda *buffers: serving.wrap_bio(*buffers, server_side=True), any_peer
        )
        end.send(b"challenge")
        with theirs:
            await send(theirs, b"\x14" + b"x" * 20)
            reader = Reader(end)
            await reader.over.wait()
            assert isinstance(reader.error, ssl.SSLError)
            end.close()
            assert b"challenge" not in await receive_to_end(theirs)


async def test_a_server_that_is_not_trusted_gets_nothing():
    async with no_descriptor_is_left():
        ours, theirs = tcp_pair()
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody
        loop = asyncio.get_running_loop()
        client = TlsEndpoint(
            loop, ours, lambda *buffers: stranger.wrap_bio(*buffers, server_hostname=HOST), any_peer
        )
        _, serving = contexts()
        server = TlsEndpoint(
            loop, theirs, lambda *buffers: serving.wrap_bio(*buffers, server_side=True), any_peer
        )
        client.send(b"secret")
        at_client, at_server = Reader(client), Reader(server)
        await at_client.over.wait()
        assert isinstance(at_client.error, ssl.SSLCertVerificationError)
        await at_server.over.wait()
        assert isinstance(at_server.error, ssl.SSLError)
        assert at_server.data == b""
        client.close()
        server.close()


async def test_a_peer_that_is_found_wrong_gets_nothing_however_often_it_is_asked():
    def wrong(_: ssl.SSLObject) -> None:
        raise ssl.SSLCertVerificationError("another pin")

    async with no_descriptor_is_left():
        ours, theirs = tcp_pair()
        trusting, serving = contexts()
        loop = asyncio.get_running_loop()
        client = TlsEndpoint(
            loop, ours, lambda *buffers: trusting.wrap_bio(*buffers, server_hostname=HOST), wrong
        )
        server = TlsEndpoint(
            loop, theirs, lambda *buffers: serving.wrap_bio(*buffers, server_side=True), any_peer
        )
        client.send(b"secret")
        server.send(b"challenge")
        at_client, at_server = Reader(client), Reader(server)
        await at_client.over.wait()
        assert isinstance(at_client.error, ssl.SSLCertVerificationError)
        with pytest.raises(ssl.SSLCertVerificationError):
            client.recv(10)
        client.close()
        await at_server.over.wait()
        assert at_server.data == b""
        server.close()


async def test_a_relay_is_not_over_before_the_last_of_it_has_left():
    loop = asyncio.get_running_loop()
    data = os.urandom(200_000)
    theirs, ours = tcp_pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    near, target = tcp_pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    memory = RelayMemory()
    async with no_descriptor_is_left():
        peer, end = await tls_pair(theirs, ours)
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
            assert end.has_unsent
            assert not ended.done()
            reader = Reader(peer)
            await reader.over.wait()
            assert (reader.data, reader.error) == (data, None)
            assert await ended is RelayEnd.CLOSED
        peer.close()
        memory.close()


async def test_one_that_goes_away_before_the_last_of_it_has_left_is_a_reset():
    loop = asyncio.get_running_loop()
    theirs, ours = tcp_pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    near, target = tcp_pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    memory = RelayMemory()
    async with no_descriptor_is_left():
        peer, end = await tls_pair(theirs, ours)
        with target:
            await send(target, bytes(200_000))
            target.shutdown(socket.SHUT_WR)
            await eventually(lambda: queued(target) == 0)
            ended: asyncio.Future[RelayEnd] = loop.create_future()
            relay = Relay(memory, end, Endpoint(loop, near), ended.set_result)
            relay.start()
            await settled(lambda: relay.bytes_down)
            reset(peer.detach())
            assert await ended is RelayEnd.CLIENT_RESET
        memory.close()


async def test_what_bulk_once_needed_is_not_kept(pair):
    client, server = pair
    reader = Reader(server, 256 * 1024)
    for _ in range(8):
        assert client.send(bytes(AT_ONCE)) == AT_ONCE
        await eventually(lambda: not client.has_unsent)
    await eventually(lambda: len(reader.data) == 8 * AT_ONCE)
    for view in (client._outgoing._rest, server._incoming._rest):
        assert len(view.obj) == 0  # an empty view of many bytes keeps them all


async def test_what_openssl_has_to_say_leaves_though_there_is_nothing_else_to_send(pair):
    client, server = pair
    client._outgoing.bio.write(b"no record of TLS at all")
    assert client.recv(1) is None
    assert not client.has_unsent
    reader = Reader(server)
    await reader.over.wait()
    assert isinstance(reader.error, ssl.SSLError)


def test_who_asks_on_for_answers_and_takes_none_is_an_error():
    outgoing = Outgoing()
    outgoing.bio.write(bytes(MOST_ASKED_FOR))
    outgoing.answer(lambda _: 10)
    outgoing.bio.write(bytes(MOST_ASKED_FOR + 1))
    with pytest.raises(OSError, match="does not take the answers"):
        outgoing.answer(lambda _: 0)
