"""Peers that live and do not read for longer than the user timeout."""

import asyncio
import socket
import sys

import pytest

from netjumper.net.endpoint import Endpoint
from netjumper.net.socket_options import SocketOptions
from netjumper.net.user_timeout import (
    UserTimeoutSuspender,
    suspend_user_timeout,
    user_timeout_of,
)
from tests.support.clock import Clock
from tests.support.namespaces import run_in_namespace
from tests.support.peers import (
    connected,
    eventually,
    nothing_to_receive,
    receive,
    receive_exactly,
    reset,
    send,
    serving,
    tcp_pair,
)
from tests.support.services import answer, bridge_running, destination, jump_server_running
from tests.support.slow_reader import kernel_aborts_connection_of_slow_reader, stalled_pair

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux' user timeout")

PEER_TIMEOUT = 1.0
BODY = bytes(16_000_000)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)


def current(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


class Looked:
    """Something served, and what it was asked for."""

    def __init__(self):
        self.looks = []

    def suspend_timeouts(self, milliseconds):
        self.looks.append(milliseconds)


@linux
def test_sessions_are_checked_four_times_per_user_timeout():
    clock, it = Clock(), Looked()
    served = {it}
    readers = UserTimeoutSuspender(clock, 30.0, served)
    readers.start()
    readers.start()
    clock.advance(26.0)
    assert it.looks == [26_000] * 4
    served.clear()
    clock.advance(26.0)
    assert clock.timers == 0
    served.add(it)
    readers.start()
    clock.advance(6.5)
    assert len(it.looks) == 5


def test_zero_peer_timeout_disables_the_checks():
    clock = Clock()
    UserTimeoutSuspender(clock, 0.0, {Looked()}).start()
    assert clock.timers == 0


async def pour(sock):
    """Send the answer to whatever is asked, and wait for the end."""
    await receive(sock)
    await send(sock, ANSWER + BODY)
    await receive(sock)


async def through_the_server(target):
    listening = SocketOptions(peer_timeout=PEER_TIMEOUT)
    async with jump_server_running(listening=listening) as (_, address):
        sock = await connected(address)
        await send(sock, await answer(sock))
        assert await receive_exactly(sock, 1) == b"\0"
        await send(sock, destination(target) + b"GET")
        assert await receive_exactly(sock, 1) == b"\0"
        yield sock


async def through_the_bridge(target):
    listening = SocketOptions(peer_timeout=PEER_TIMEOUT)
    async with (
        jump_server_running() as (_, address),
        bridge_running(address, listening=listening) as service,
    ):
        sock = await connected(service.address_of("http"))
        await send(sock, b"GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n" % str(target).encode())
        yield sock


@linux
@pytest.mark.parametrize("through", [through_the_server, through_the_bridge])
async def test_pause_longer_than_the_user_timeout_does_not_disconnect(through, monkeypatch):
    monkeypatch.setattr(
        "netjumper.relay.splice.CAN_SPLICE", False
    )  # what is kept is not what is left
    async with serving(pour) as target:
        async for sock in through(target.address):
            with sock:
                await eventually(lambda sock=sock: not nothing_to_receive(sock))
                await kernel_aborts_connection_of_slow_reader(user_timeout_of(PEER_TIMEOUT))
                while await receive_exactly(sock, 1) != BODY[:1]:  # no zero is in the head
                    pass
                assert await receive_exactly(sock, len(BODY) - 1) == BODY[1:]


@linux
async def test_the_user_timeout_is_suspended_while_the_window_is_closed():
    sock, peer = stalled_pair(60_000)
    with sock, peer:
        endpoint = Endpoint(asyncio.get_running_loop(), sock)
        await eventually(lambda: not suspend_user_timeout(endpoint, 60_000) and not current(sock))
        while endpoint.unacknowledged():
            await receive(peer)
        assert suspend_user_timeout(endpoint, 60_000)
        assert current(sock) == 60_000


@linux
async def test_unacknowledged_data_has_the_user_timeout():
    code = """
import asyncio
from netjumper.net.endpoint import Endpoint
from netjumper.net.user_timeout import suspend_user_timeout
client, accepted = pair(SocketOptions(), SocketOptions())
loopback(False)
client.sendall(b"lost")
endpoint = Endpoint(asyncio.new_event_loop(), client)
print(suspend_user_timeout(endpoint, 28_000), client.getsockopt(6, socket.TCP_USER_TIMEOUT))
"""
    assert run_in_namespace(code) == "False 28000"


@linux
async def test_a_connection_that_is_lost_or_no_tcp_has_no_timeout_to_suspend():
    loop = asyncio.get_running_loop()
    sock, peer = tcp_pair()
    reset(peer)
    one, other = socket.socketpair()
    with sock, one, other:
        endpoint = Endpoint(loop, sock)
        await eventually(lambda: endpoint.is_lost)
        assert suspend_user_timeout(endpoint, 28_000)
        assert suspend_user_timeout(Endpoint(loop, one), 28_000)
