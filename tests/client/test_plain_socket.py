"""TLS for somebody who wants a socket."""

import asyncio
import socket

import pytest

from netjumper.client.plain_socket import decrypted_socket
from netjumper.tls.context import client_with_pins
from netjumper.tls.endpoint import TlsEndpoint
from tests.support.peers import tcp_pair
from tests.support.tls_pair import sides_of


async def test_bytes_after_the_handshake_timeout_are_dropped():
    loop = asyncio.get_running_loop()
    failures = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(TimeoutError):
            await decrypted_socket(client_with_pins([b"x" * 32]).endpoint(loop, ours), 0.0)
    assert failures == []


async def test_undecrypted_bytes_after_the_handshake_may_be_an_alert(tmp_path, monkeypatch):
    monkeypatch.setattr(TlsEndpoint, "has_no_input", False)
    ours, theirs = sides_of(tmp_path)
    loop = asyncio.get_running_loop()
    near, far = tcp_pair()
    server = theirs.endpoint(loop, far)
    server.start_reading(server.shake_hands)
    with pytest.raises(TimeoutError):  # it lets nobody in, and refuses nobody
        await decrypted_socket(ours.endpoint(loop, near), 0.3)
    assert server.is_established
    server.close()
