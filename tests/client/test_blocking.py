"""The steps of a blocking connection to a jump server."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest

from netjumper import Address, JumpHostTimeout, JumpHostUnreachable
from netjumper.client.blocking import BlockingConnection
from netjumper.net.socket_options import DEFAULTS
from tests.support.peers import address_of, listening, serving
from tests.support.scripted_peer import CHALLENGE, Step, scripted
from tests.support.services import SECRET


@contextlib.asynccontextmanager
async def connected(*script: object) -> AsyncIterator[BlockingConnection]:
    """Yield a connection to a jump server that follows the script."""
    async with serving(scripted(*script)) as peer:
        with contextlib.closing(BlockingConnection(peer.address, SECRET, DEFAULTS)) as connection:
            deadline = time.monotonic() + 10
            connection.resolve(deadline)
            connection.dial(deadline)
            yield connection


async def test_the_challenge_is_received_and_not_answered_before_the_next_step():
    async with connected(CHALLENGE, Step.SILENCE) as connection:
        deadline = time.monotonic() + 10
        await asyncio.to_thread(connection.advance, lambda it: bool(it.challenge), deadline)
        assert connection.received == CHALLENGE
        assert connection.handshake.data_to_send()


async def test_bytes_that_are_there_after_the_deadline_do_not_count():
    async with connected(CHALLENGE, Step.SILENCE) as connection:
        sock = connection.connected_socket(time.monotonic() + 10)
        await asyncio.to_thread(sock.recv, 1, socket.MSG_PEEK)  # the challenge has come
        with pytest.raises(JumpHostTimeout, match="did not answer in time"):
            connection.advance(lambda it: bool(it.challenge), time.monotonic())


def test_a_step_without_a_connection_is_an_error_that_names_the_jump_host():
    connection = BlockingConnection(Address("home.example", 9527), SECRET, DEFAULTS)
    with pytest.raises(JumpHostUnreachable) as caught:
        connection.advance(lambda it: it.result, time.monotonic())
    assert str(caught.value) == "jump host home.example:9527: not connected"
    connection.close()


def test_a_name_has_each_of_its_addresses_once(monkeypatch):
    with listening() as listener:
        address = address_of(listener)
        entry = (listener.family, listener.type, 6, "", (address.host, address.port))
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [entry, entry])
        connection = BlockingConnection(Address("home.example", address.port), SECRET, DEFAULTS)
        with contextlib.closing(connection):
            assert connection.resolve(time.monotonic() + 10) == ["127.0.0.1"]
            assert connection.dial(time.monotonic() + 10) == address
