"""Plain sockets over TLS."""

import asyncio
import errno
import os
import socket

import pytest

from netjumper.client import plain_socket
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


def test_pair_is_made_if_the_kernel_is_late(monkeypatch):
    accept = socket.socket.accept
    late = [True]

    def accept_late(sock):
        if late:
            late.clear()
            raise BlockingIOError
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", accept_late)
    ours, theirs = plain_socket._tcp_pair()
    with ours, theirs:
        assert ours.getpeername() == theirs.getsockname()
    assert not late


def test_pair_that_cannot_be_connected_is_an_error_at_once(monkeypatch):
    def refuse(*_):
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ConnectionRefusedError):
        plain_socket._tcp_pair()
