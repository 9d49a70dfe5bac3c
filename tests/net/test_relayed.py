"""TLS for somebody who wants a socket."""

import asyncio
import socket

import pytest

from netjumper.encryption import client_with_pins
from netjumper.net.relayed import decrypted_socket


async def test_what_comes_when_the_time_for_a_handshake_is_over_is_nobodys():
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
