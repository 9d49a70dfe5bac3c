"""The jump server, tested through its sockets: handshakes, tunnels, listeners."""

import asyncio
import socket
import sys
import threading
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.net.endpoint import Endpoint
from netjumper.net.listening_sockets import ListenError
from netjumper.net.socket_options import SocketOptions
from netjumper.server.clients import single_secret
from netjumper.server.guard import Guard
from netjumper.server.jump_server import jump_server
from netjumper.sessions import manager
from netjumper.sessions.tunnel import MAX_READ_AHEAD_BYTES
from tests.support.peers import (
    answer_after_end,
    connected,
    echo,
    eventually,
    keepalive,
    listening,
    nothing_to_receive,
    receive,
    receive_exactly,
    receive_to_end,
    send,
    serving,
    speak_first,
)
from tests.support.scripted_peer import scripted
from tests.support.services import (
    LOOPBACK,
    SECRET,
    answer,
    destination,
    dialer_of,
    jump_server_running,
    request_tunnel,
    resolver,
)


async def test_a_client_with_the_secret_reaches_its_target(server):
    service, address = server
    async with serving(echo) as target:
        with await request_tunnel(address, target) as sock:
            assert await receive_exactly(sock, 1) == b"\0"
            await send(sock, b"hello")
            assert await receive_exactly(sock, 5) == b"hello"
            assert len(service.sessions) == 1
            assert len(service.sessions.context.handshakes.deadlines) == 0
            sock.shutdown(socket.SHUT_WR)
            assert await receive(sock) == b""
        await eventually(lambda: len(service.sessions) == 0)


async def test_an_inherited_socket_gets_the_same_options():
    options = SocketOptions(peer_timeout=60.0)
    with listening() as sock:
        async with jump_server_running(listen=[sock.dup()], listening=options):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert keepalive(sock)[1] == 30


async def test_each_connection_gets_another_challenge(server):
    _, address = server
    challenges = set()
    for _ in range(20):
        with await connected(address) as sock:
            challenges.add(await receive_exactly(sock, 33))
    assert len(challenges) == 20
    assert {challenge[0] for challenge in challenges} == {32}


async def test_a_handshake_can_arrive_byte_by_byte(server):
    _, address = server
    async with serving(echo) as target:
        with await connected(address) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in await answer(sock) + destination(target) + b"hello":
                await send(sock, bytes((byte,)))
            assert await receive_exactly(sock, 7) == b"\0\0hello"


async def test_answer_destination_and_data_can_arrive_in_one_segment(server):
    _, address = server
    async with serving(echo) as target:
        with await connected(address) as sock:
            await send(sock, await answer(sock) + destination(target) + b"hello")
            assert await receive_exactly(sock, 7) == b"\0\0hello"


async def test_a_client_that_half_closes_after_its_request_gets_the_answer(server):
    _, address = server
    async with serving(answer_after_end) as target:
        with await connected(address) as sock:
            await send(sock, await answer(sock) + destination(target) + b"hello")
            sock.shutdown(socket.SHUT_WR)
            assert await receive_to_end(sock) == b"\0\0005 bytes received"


async def test_data_of_a_target_that_speaks_first_follows_the_outcome(server):
    _, address = server
    async with serving(speak_first(b"220 ready")) as target:
        with await request_tunnel(address, target) as sock:
            assert await receive_exactly(sock, 10) == b"\x00220 ready"


async def test_data_sent_before_the_target_is_reached_is_limited_and_not_lost(server):
    service, address = server
    looking, go_on = threading.Event(), threading.Event()

    def find(host: str, port: int, **_: Any) -> list[Any]:
        looking.set()
        go_on.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    dialer_of(service).resolver = resolver(find)
    async with serving(echo) as target:
        with await request_tunnel(address, Address("target.example", target.address.port)) as sock:
            await asyncio.to_thread(looking.wait)
            data = bytes(range(256)) * 4 * 8192
            sending = asyncio.create_task(send(sock, data))
            (tunnel,) = service.sessions._alive
            await eventually(lambda: tunnel._client._on_readable is None)
            assert (
                MAX_READ_AHEAD_BYTES <= tunnel._handshake.trailing_size < 3 * MAX_READ_AHEAD_BYTES
            )
            go_on.set()
            assert await receive_exactly(sock, 1) == b"\0"
            assert await receive_exactly(sock, len(data)) == data
            await sending


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has MSG_MORE")
async def test_after_early_data_the_outcome_leaves_with_the_targets_first_bytes(monkeypatch):
    monkeypatch.setattr(manager, "ANSWER_CORK_TIME_S", 30.0)
    reached, answering = asyncio.Event(), asyncio.Event()

    async def answer_on_cue(sock: socket.socket) -> None:
        await receive_exactly(sock, 5)
        reached.set()
        await answering.wait()
        await send(sock, b"late")

    async with serving(answer_on_cue) as target, jump_server_running() as (_, address):
        with await connected(address) as sock:
            await send(sock, await answer(sock) + destination(target.address) + b"early")
            assert await receive_exactly(sock, 1) == b"\0"  # the verdict
            await reached.wait()
            assert nothing_to_receive(sock)
            answering.set()
            assert await receive(sock) == b"\0late"


async def test_the_outcome_does_not_wait_long_for_the_targets_first_bytes(monkeypatch):
    pushed = asyncio.Event()
    push = Endpoint.push

    def noted_push(endpoint: Endpoint) -> None:
        pushed.set()
        push(endpoint)

    monkeypatch.setattr(Endpoint, "push", noted_push)
    async with serving(answer_after_end) as target, jump_server_running() as (_, address):
        with await connected(address) as sock:
            await send(sock, await answer(sock) + destination(target.address) + b"early")
            await pushed.wait()
            assert await receive_exactly(sock, 2) == b"\0\0"


async def test_server_listens_on_several_addresses():
    listen = [LOOPBACK, ListenAddress("::1", 0)]
    async with jump_server_running(listen=listen) as (service, _):
        assert [name for name, _ in service.listening] == ["netjumper"] * 2
        for _, address in service.listening:
            with await connected(address) as sock:
                assert (await receive_exactly(sock, 1)) == b"\x20"


@pytest.mark.parametrize("hosts", [("0.0.0.0", "::"), ("::", "0.0.0.0")])
async def test_server_listens_on_all_ipv4_and_all_ipv6_addresses_separately(hosts):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with jump_server_running(listen=[ListenAddress(host, port) for host in hosts]):
        for host in ("127.0.0.1", "::1"):
            with await connected(Address(host, port)) as sock:
                assert await receive_exactly(sock, 1) == b"\x20"


async def test_server_opens_all_listeners_or_none(server):
    taken = ListenAddress.parse(str(server[1]))
    other = jump_server(listen=[LOOPBACK, taken], clients=single_secret(SECRET, Guard()))
    with pytest.raises(ListenError, match="another program listens there") as caught:
        other.open()
    assert caught.value.listener == "netjumper"
    assert other.listening == []


async def test_many_tunnels_at_a_time(server):
    service, address = server
    async with serving(echo) as target:
        socks = await asyncio.gather(*(request_tunnel(address, target) for _ in range(200)))
        for number, sock in enumerate(socks):
            await send(sock, b"%04d" % number)
        for number, sock in enumerate(socks):
            assert await receive_exactly(sock, 5) == b"\0%04d" % number
        assert len(service.sessions) == 200
        for sock in socks:
            sock.close()
        await eventually(lambda: len(service.sessions) == 0)


async def test_a_target_that_half_closes_first_receives_the_rest(server):
    _, address = server
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def end_first(sock: socket.socket) -> None:
        await scripted(b"bye")(sock)
        sock.shutdown(socket.SHUT_WR)
        heard.set_result(await receive_to_end(sock))

    async with serving(end_first) as target:
        with await request_tunnel(address, target) as sock:
            assert await receive_to_end(sock) == b"\0bye"
            await send(sock, b"one more thing")
            sock.shutdown(socket.SHUT_WR)
            assert await heard == b"one more thing"
