"""A TLS endpoint: handshake, data, and peers that do not speak TLS or are the wrong ones."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from netjumper.tls.endpoint import TlsEndpoint
from netjumper.tls.engine import MAX_CALL_BYTES
from tests.support.peers import (
    eventually,
    no_descriptor_leaks,
    receive,
    receive_to_end,
    send,
    tcp_pair,
)
from tests.support.relay_pair import SMALL_BUFFER
from tests.support.tls_pair import HOST, Reader, any_peer, contexts, new_tls_pair, tls_pair


async def test_data_sent_before_the_handshake_is_complete_arrives():
    async with no_descriptor_leaks():
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


async def test_data_before_the_handshake_is_limited(apart):
    end, _ = apart
    assert end.send(b"x" * (MAX_CALL_BYTES + 1)) == MAX_CALL_BYTES
    assert end.send(b"x") == 0


async def test_eavesdropper_sees_no_plaintext():
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


@pytest.mark.parametrize("max_bytes", [1, 1000, 16 * 1024, 1024 * 1024])
async def test_data_is_received_in_pieces_of_any_size(pair, max_bytes):
    client, server = pair
    data = bytes(range(256)) * 64
    client.send(data)
    client.shutdown_write()
    reader = Reader(server, max_bytes)
    await reader.over.wait()
    assert reader.data == data


async def test_stopped_reading_calls_no_callback(pair):
    client, server = pair
    client.send(b"x" * 30_000)
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
    await eventually(lambda: len(rest.data) == 30_000)


async def test_full_socket_takes_no_more_and_reports_room():
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


async def test_corked_answer_leaves_with_the_next_data(pair):
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
async def test_garbage_is_an_error(apart, garbage):
    end, theirs = apart
    await send(theirs, garbage)
    theirs.shutdown(socket.SHUT_WR)
    reader = Reader(end)
    await reader.over.wait()
    assert isinstance(reader.error, ssl.SSLError)
    assert reader.data == b""


async def test_clear_text_client_gets_no_data():
    async with no_descriptor_leaks():
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


async def test_untrusted_server_gets_no_data():
    async with no_descriptor_leaks():
        ours, theirs = tcp_pair()
        distrusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # has no authority
        loop = asyncio.get_running_loop()
        client = TlsEndpoint(
            loop,
            ours,
            lambda *buffers: distrusting.wrap_bio(*buffers, server_hostname=HOST),
            any_peer,
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


async def test_rejected_peer_gets_no_data_on_any_retry():
    def wrong(_: ssl.SSLObject) -> None:
        raise ssl.SSLCertVerificationError("another pin")

    async with no_descriptor_leaks():
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


async def test_buffers_of_bulk_data_are_released(pair):
    client, server = pair
    reader = Reader(server, 256 * 1024)
    for _ in range(8):
        assert client.send(bytes(MAX_CALL_BYTES)) == MAX_CALL_BYTES
        await eventually(lambda: not client.has_unsent)
    await eventually(lambda: len(reader.data) == 8 * MAX_CALL_BYTES)
    for view in (client._engine.outgoing._rest, server._engine.incoming._rest):
        assert len(view.obj) == 0  # an empty view of many bytes keeps them all


async def test_answers_of_openssl_leave_without_other_data(pair):
    client, server = pair
    client._engine.outgoing.bio.write(b"no record of TLS at all")
    assert client.recv(1) is None
    assert not client.has_unsent
    reader = Reader(server)
    await reader.over.wait()
    assert isinstance(reader.error, ssl.SSLError)
