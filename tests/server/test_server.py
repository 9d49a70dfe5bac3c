"""The jump server, seen from a socket."""

import asyncio
import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.net.endpoint import Endpoint
from netjumper.net.listening_sockets import ListenError
from netjumper.net.socket_options import SocketOptions
from netjumper.server.clients import Client, Clients, single_secret
from netjumper.server.guard import Guard
from netjumper.server.jump_server import jump_server
from netjumper.sessions import manager
from netjumper.sessions.manager import TunnelLimits
from netjumper.sessions.service import Service
from netjumper.sessions.tunnel import READ_AHEAD_LIMIT
from tests.support.peers import (
    answer_after_end,
    closed_port,
    connected,
    echo,
    eventually,
    keepalive,
    listening,
    nothing_to_receive,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    reset_after,
    scripted,
    send,
    serving,
    speak_first,
    unanswering,
)
from tests.support.services import (
    AT_HOME,
    LOOPBACK,
    SECRET,
    answer,
    asked,
    destination,
    dialer_of,
    jump_server_running,
    refusal,
    resolver,
)

CHECK_SECRET = b"\1\x1echallenge failed, check secret"
Running = tuple[Service, Address]


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with jump_server_running() as running:
        yield running


# --- the handshake ------------------------------------------------------------------------


async def test_a_client_with_the_secret_reaches_its_target(server):
    service, address = server
    async with serving(echo) as target:
        with await asked(address, target) as sock:
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
        with await asked(address, target) as sock:
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
        with await asked(address, Address("target.example", target.address.port)) as sock:
            await asyncio.to_thread(looking.wait)
            data = bytes(range(256)) * 4 * 8192
            sending = asyncio.create_task(send(sock, data))
            (tunnel,) = service.sessions._alive
            await eventually(lambda: tunnel._client._on_readable is None)
            assert READ_AHEAD_LIMIT <= tunnel._handshake.trailing_size < 3 * READ_AHEAD_LIMIT
            go_on.set()
            assert await receive_exactly(sock, 1) == b"\0"
            assert await receive_exactly(sock, len(data)) == data
            await sending


# --- refusals -----------------------------------------------------------------------------


async def test_a_wrong_secret_is_refused_with_the_reason_and_an_end_of_stream(server, caplog):
    service, address = server
    with await connected(address) as sock:
        await send(sock, await answer(sock, b"wrong"))
        assert await receive_to_end(sock) == CHECK_SECRET
    await eventually(lambda: len(service.sessions) == 0)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("AuthenticationError: wrong secret")
    assert "-> ?" in record.getMessage()


@pytest.mark.parametrize("size", [0, 100, 1024 * 1024])
async def test_a_client_that_sends_on_gets_the_refusal_of_its_secret(server, size):
    _, address = server
    async with serving(echo) as target:
        with await connected(address) as sock:
            wrong = await answer(sock, b"wrong") + destination(target) + b"x" * size
            sending = asyncio.create_task(send(sock, wrong))
            assert await receive_to_end(sock) == CHECK_SECRET
            await sending
        assert await target.came() == 0


async def test_a_refused_client_that_never_ends_is_closed_after_a_while(monkeypatch):
    monkeypatch.setattr("netjumper.sessions.manager.LINGER_TIMEOUT_S", 0.1)
    async with jump_server_running() as (service, address):
        with await connected(address) as sock:
            await send(sock, await answer(sock, b"wrong"))
            assert await receive_to_end(sock) == CHECK_SECRET
            await eventually(lambda: len(service.sessions) == 0)


async def test_a_refused_client_that_resets_is_forgotten(server):
    service, address = server
    sock = await connected(address)
    await send(sock, await answer(sock, b"wrong"))
    assert await receive_to_end(sock) == CHECK_SECRET
    reset(sock)
    await eventually(lambda: len(service.sessions) == 0)


async def test_a_refused_dial_has_the_error_text_of_the_original(server):
    target = closed_port()
    assert await refusal(server[1], target) == f"dial tcp {target}: connect: connection refused"


async def test_an_unknown_name_has_the_error_text_of_the_original(server):
    text = await refusal(server[1], "none.example:80")
    assert text == "dial tcp: lookup none.example: no such host"


async def test_a_dial_timeout_has_the_error_text_of_the_original():
    with unanswering() as target:
        async with jump_server_running(dial_timeout=0.05) as (_, address):
            assert await refusal(address, target) == f"dial tcp {target}: i/o timeout"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("example.org", "dial tcp: address example.org: missing port in address"),
        ("example.org:99999", "dial tcp: address 99999: invalid port"),
        ("example.org:no-such-service", "dial tcp: address tcp/no-such-service: unknown port"),
        ("", "dial tcp: missing address"),
    ],
)
async def test_an_invalid_destination_has_the_error_text_of_the_original(server, text, told):
    assert await refusal(server[1], text) == told


async def test_a_target_that_the_guard_forbids_is_denied():
    async with serving(echo) as target, jump_server_running(guard=Guard()) as (_, address):
        told = await refusal(address, target)
        assert told == f"dial tcp {target}: this machine (127.0.0.1), not permitted"
        assert await target.came() == 0


async def test_a_client_that_sent_data_ahead_gets_the_refusal_of_its_target(server):
    _, address = server
    with await connected(address) as sock:
        await send(sock, await answer(sock) + destination(closed_port()) + b"x" * 200_000)
        data = await receive_to_end(sock)
        assert data.startswith(b"\0\1")
        assert data.endswith(b"connect: connection refused")


# --- deadlines ----------------------------------------------------------------------------


async def test_a_silent_client_is_closed(caplog):
    async with jump_server_running(limits=TunnelLimits(handshake=0.1)) as (service, address):
        with await connected(address) as sock:
            assert len(await receive_to_end(sock)) == 33
        assert len(service.sessions) == 0
    assert caplog.records == []


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(TunnelLimits(parked=0.1), id="after its time"),
        pytest.param(TunnelLimits(handshake=0.1, parked=0), id="at once where nobody may wait"),
        pytest.param(TunnelLimits(handshake=0.1, max_parked=0), id="where none are allowed"),
    ],
)
async def test_a_client_that_names_no_target_is_closed_without_a_log_line(caplog, limits):
    caplog.set_level(logging.INFO)
    async with jump_server_running(limits=limits) as (_, address):
        with await connected(address) as sock:
            await send(sock, await answer(sock))
            assert await receive_to_end(sock) == b"\0"
    assert caplog.records == []


async def test_a_parked_client_has_more_time_than_a_handshake():
    limits = TunnelLimits(handshake=0.05)
    async with serving(echo) as target, jump_server_running(limits=limits) as (service, address):
        with await connected(address) as parked, await connected(address) as idle:
            await send(parked, await answer(parked))
            assert await receive_exactly(parked, 1) == b"\0"
            assert await receive_to_end(idle) != b""  # a handshake's time is over
            assert len(service.sessions.context.handshakes.parked) == 1
            await send(parked, destination(target.address))
            assert await receive_exactly(parked, 1) == b"\0"
            assert len(service.sessions.context.handshakes.parked) == 0


async def test_a_parked_client_that_begins_its_request_has_the_handshakes_deadline():
    limits = TunnelLimits(handshake=0.05)
    async with jump_server_running(limits=limits) as (service, address):
        with await connected(address) as sock:
            await send(sock, await answer(sock))
            assert await receive_exactly(sock, 1) == b"\0"
            await send(sock, b"\x20")
            assert await receive_to_end(sock) == b""
            assert len(service.sessions.context.handshakes.parked) == 0


async def test_connections_beyond_the_limit_on_parked_ones_have_the_handshakes_deadline():
    limits = TunnelLimits(handshake=0.05, max_parked=1)
    async with jump_server_running(limits=limits) as (service, address):
        with await connected(address) as first, await connected(address) as second:
            await send(first, await answer(first))
            assert await receive_exactly(first, 1) == b"\0"
            await send(second, await answer(second))
            assert await receive_to_end(second) == b"\0"
            assert len(service.sessions.context.handshakes.parked) == 1
            first.close()
            await eventually(lambda: len(service.sessions.context.handshakes.parked) == 0)
        with await connected(address) as third:
            await send(third, await answer(third))
            assert await receive_exactly(third, 1) == b"\0"
            await eventually(lambda: len(service.sessions.context.handshakes.parked) == 1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has MSG_MORE")
async def test_after_early_data_the_outcome_leaves_with_the_targets_first_bytes(monkeypatch):
    monkeypatch.setattr(manager, "ANSWER_CORK_TIME_S", 30.0)
    reached, answering = asyncio.Event(), asyncio.Event()

    async def answer_when_told(sock: socket.socket) -> None:
        await receive_exactly(sock, 5)
        reached.set()
        await answering.wait()
        await send(sock, b"late")

    async with serving(answer_when_told) as target, jump_server_running() as (_, address):
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


async def test_a_client_that_only_authenticates_leaves_no_line_in_the_log(server, caplog):
    caplog.set_level(logging.INFO)
    service, address = server
    with await connected(address) as sock:
        await send(sock, await answer(sock))
        assert await receive_exactly(sock, 1) == b"\0"
    await eventually(lambda: len(service.sessions) == 0)
    assert caplog.records == []


async def test_the_duration_of_a_tunnel_does_not_include_parked_time(server, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    service, address = server
    now = 1000.0
    for module in ("sessions.handshake_phase", "sessions.session"):
        monkeypatch.setattr(f"netjumper.{module}.monotonic", lambda: now)
    async with serving(echo) as target:
        with await connected(address) as sock:
            await send(sock, await answer(sock))
            assert await receive_exactly(sock, 1) == b"\0"
            now += 60.0
            await send(sock, destination(target.address))
            assert await receive_exactly(sock, 1) == b"\0"
            now += 5.0
        await eventually(lambda: len(service.sessions) == 0)
    assert [record.msg.seconds for record in caplog.records] == [5.0]


async def test_a_client_that_names_half_a_target_is_logged(caplog):
    async with jump_server_running(limits=TunnelLimits(handshake=0.1)) as (_, address):
        with await connected(address) as sock:
            await send(sock, await answer(sock) + b"\x09exam")
            assert await receive_to_end(sock) == b"\0"
    (record,) = caplog.records
    assert record.getMessage().endswith("HandshakeTimeout: the handshake took too long")


async def test_bytes_that_trickle_in_do_not_move_the_deadline():
    loop = asyncio.get_running_loop()
    async with jump_server_running(limits=TunnelLimits(handshake=0.3)) as (service, address):
        began = loop.time()
        with await connected(address) as sock:
            trickle = iter(await answer(sock) + destination("x" * 200))
            while len(service.sessions):
                sock.send(bytes((next(trickle),)))
                await asyncio.sleep(0.01)  # this is what makes it trickle
            assert 0.3 - 1e-6 <= loop.time() - began < 2


async def test_the_handshakes_deadline_does_not_end_a_tunnel_or_a_dial():
    limits = TunnelLimits(handshake=0.1)
    with unanswering() as silent:
        async with serving(echo) as target, jump_server_running(limits=limits) as (_, address):
            with await asked(address, target) as sock, await asked(address, silent) as dialling:
                assert await receive_exactly(sock, 1) == b"\0"
                with await connected(address) as third:  # begins later, and runs out
                    assert len(await receive_to_end(third)) == 33
                await send(sock, b"hello")
                assert await receive_exactly(sock, 5) == b"hello"
                with pytest.raises(BlockingIOError):
                    dialling.recv(1)


async def test_an_idle_tunnel_is_ended():
    async with serving(echo) as target:
        async with jump_server_running(limits=TunnelLimits(idle=0.1)) as (service, address):
            with await asked(address, target) as sock:
                assert await receive_to_reset(sock) == b"\0"
            assert len(service.sessions) == 0


# --- clients and targets that vanish ------------------------------------------------------


@pytest.mark.parametrize("vanish", [socket.socket.close, reset], ids=["close", "reset"])
@pytest.mark.parametrize("state", ["connected", "half an answer", "answered", "half a name"])
async def test_a_client_that_vanishes_in_its_handshake_leaves_no_session(server, state, vanish):
    service, address = server
    sock = await connected(address)
    reply = await answer(sock)
    if state == "half an answer":
        await send(sock, reply[:10])
    elif state != "connected":
        await send(sock, reply)
        assert await receive_exactly(sock, 1) == b"\0"
    if state == "half a name":
        await send(sock, b"\x0fexample")
    await eventually(lambda: len(service.sessions) == 1)
    vanish(sock)
    await eventually(lambda: len(service.sessions) == 0)


async def test_a_client_that_resets_cancels_the_dial(server):
    service, address = server
    with unanswering() as target:
        sock = await asked(address, target)
        dialer = dialer_of(service)
        await eventually(lambda: len(dialer.deadlines) == 1)
        reset(sock)
        await eventually(lambda: len(service.sessions) == 0)
        assert len(dialer.deadlines) == 0


async def test_a_client_that_resets_reaches_the_target_as_a_reset(server):
    service, address = server
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def note(sock: socket.socket) -> None:
        await send(sock, b"welcome")
        got.set_result(await receive_to_reset(sock))

    async with serving(note) as target:
        sock = await asked(address, target)
        assert await receive_exactly(sock, 8) == b"\0welcome"
        await send(sock, b"last words")
        reset(sock)
        assert await got in (b"last words", b"")  # a reset may overtake what is not yet sent
        await eventually(lambda: len(service.sessions) == 0)


async def test_a_target_that_resets_reaches_the_client_as_a_reset(server):
    _, address = server
    async with serving(reset_after(5, b"last words")) as target:
        with await asked(address, target) as sock:
            await send(sock, b"hello")
            data = await receive_to_reset(sock)
            assert b"\0last words".startswith(data)


@pytest.mark.parametrize(
    ("failure", "told"),
    [(None, "the client does not read its answers"), (errno.EPIPE, "Broken pipe")],
)
async def test_a_client_that_does_not_take_the_challenge_is_aborted(
    server, monkeypatch, caplog, failure, told
):
    service, address = server

    def no_send(self: object, data: bytes) -> int:
        if failure is not None:
            raise OSError(failure, os.strerror(failure))
        return 0

    monkeypatch.setattr("netjumper.net.endpoint.Endpoint.send", no_send)
    with socket.create_connection((address.host, address.port)):
        await eventually(lambda: bool(caplog.records))
        assert len(service.sessions) == 0
    assert caplog.records[0].getMessage().endswith(told)


@pytest.mark.parametrize("secret", [SECRET, b"wrong"])
async def test_a_client_that_does_not_take_the_verdict_is_aborted(
    server, monkeypatch, caplog, secret
):
    service, address = server
    with await connected(address) as sock:
        right = await answer(sock, secret)
        monkeypatch.setattr("netjumper.net.endpoint.Endpoint.send", lambda *_: 0)
        await send(sock, right)
        await receive_to_reset(sock)
    assert len(service.sessions) == 0
    assert [record.msg.ending for record in caplog.records] == [
        "the client does not read its answers"
    ]


# --- the log ------------------------------------------------------------------------------


async def test_a_tunnel_is_one_line_in_the_log(caplog):
    clients = Clients([Client(name="alice", secrets=(SECRET,), guard=AT_HOME)])
    async with serving(echo) as target, jump_server_running(clients=clients) as (_, address):
        with caplog.at_level(logging.INFO, "netjumper.access"):
            with await asked(address, target) as sock:
                peer = "{}:{}".format(*sock.getsockname())
                await send(sock, b"hello")
                assert await receive_exactly(sock, 6) == b"\0hello"
                sock.shutdown(socket.SHUT_WR)
                assert await receive(sock) == b""
            await eventually(lambda: bool(caplog.records))
    (record,) = caplog.records
    end = record.msg
    assert record.levelno == logging.INFO
    assert (end.peer, end.client, end.target) == (peer, "alice", str(target))
    assert (end.bytes_up, end.bytes_down) == (5, 5)
    assert (end.ending, end.failed) == ("closed", False)
    assert 0 < end.seconds < 10
    assert record.getMessage().startswith(f"{peer} (alice) -> {target}: up 5 down 5 bytes, ")


async def test_a_failed_tunnel_is_one_line_in_the_log_and_a_warning(server, caplog):
    target = closed_port()
    await refusal(server[1], target)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith(
        f"TargetRefused: dial tcp {target}: connect: connection refused"
    )


async def test_a_disabled_access_log_gets_no_record(server, caplog):
    with caplog.at_level(logging.CRITICAL, "netjumper.access"):
        await refusal(server[1], closed_port())
    assert caplog.records == []


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
async def test_a_port_scan_leaves_no_line_in_the_log(server, caplog, leave):
    service, address = server
    with caplog.at_level(logging.INFO):
        sock = await connected(address)
        assert len(await receive_exactly(sock, 33)) == 33
        leave(sock)
        await eventually(lambda: len(service.sessions) == 0)
    assert caplog.records == []


# --- the service's life -------------------------------------------------------------------


async def test_it_listens_on_several_addresses():
    listen = [LOOPBACK, ListenAddress("::1", 0)]
    async with jump_server_running(listen=listen) as (service, _):
        assert [name for name, _ in service.listening] == ["netjumper"] * 2
        for _, address in service.listening:
            with await connected(address) as sock:
                assert (await receive_exactly(sock, 1)) == b"\x20"


@pytest.mark.parametrize("hosts", [("0.0.0.0", "::"), ("::", "0.0.0.0")])
async def test_it_listens_on_all_ipv4_and_all_ipv6_addresses_separately(hosts):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with jump_server_running(listen=[ListenAddress(host, port) for host in hosts]):
        for host in ("127.0.0.1", "::1"):
            with await connected(Address(host, port)) as sock:
                assert await receive_exactly(sock, 1) == b"\x20"


async def test_it_opens_all_listeners_or_none(server):
    taken = ListenAddress.parse(str(server[1]))
    other = jump_server(listen=[LOOPBACK, taken], clients=single_secret(SECRET, Guard()))
    with pytest.raises(ListenError, match="another program listens there") as caught:
        other.open()
    assert caught.value.door == "netjumper"
    assert other.listening == []


async def test_closing_waits_for_tunnels_and_accepts_no_more(server):
    service, address = server
    async with serving(echo) as target:
        with await asked(address, target) as sock:
            assert await receive_exactly(sock, 1) == b"\0"
            closing = asyncio.create_task(service.close(grace=30.0))
            await eventually(lambda: service.listening == [])
            with pytest.raises(ConnectionRefusedError):
                await connected(address)
            await send(sock, b"still served")
            assert await receive_exactly(sock, 12) == b"still served"
            assert not closing.done()
            sock.shutdown(socket.SHUT_WR)
            assert await receive(sock) == b""
            assert await closing == 0


async def test_closing_aborts_tunnels_after_the_grace_period(server, caplog):
    service, address = server
    async with serving(echo) as target:
        with caplog.at_level(logging.INFO, "netjumper.access"):
            with await asked(address, target) as sock:
                assert await receive_exactly(sock, 1) == b"\0"
                assert await service.close(grace=0.05) == 1
                assert await receive_to_reset(sock) == b""
    assert [record.msg.ending for record in caplog.records] == ["shut down"]


@pytest.fixture
def a_moment(monkeypatch):
    """Who came in just before the end is heard out for no longer than this many seconds."""
    monkeypatch.setattr(manager, "ACCEPT_GRACE_S", 0.1)
    return 0.1


async def test_closing_does_not_wait_for_a_connection_without_a_request(server, a_moment, caplog):
    service, address = server
    with await connected(address) as sock:
        assert len(await receive_exactly(sock, 33)) == 33
        assert await service.close(grace=30.0) == 0
        assert await receive_to_end(sock) == b""
    assert caplog.records == []


async def test_closing_does_not_wait_for_half_a_request(server, a_moment, caplog):
    service, address = server
    with await connected(address) as sock:
        await send(sock, await answer(sock) + b"\x09exam")
        assert await receive_exactly(sock, 1) == b"\0"
        assert await service.close(grace=30.0) == 0
        assert await receive_to_reset(sock) == b""
    assert [record.msg.ending for record in caplog.records] == ["shut down"]


async def test_closing_finishes_the_handshake_of_a_new_connection(server):
    service, address = server
    async with serving(echo) as target:
        with await connected(address) as sock:
            await eventually(lambda: len(service.sessions) == 1)
            closing = asyncio.ensure_future(service.close(grace=30.0))
            await send(sock, await answer(sock) + destination(target.address))
            assert await receive_exactly(sock, 2) == b"\0\0"
        assert await closing == 0


async def test_closing_does_not_wait_for_the_handshake_of_an_old_connection(server, monkeypatch):
    monkeypatch.setattr(manager, "ACCEPT_GRACE_S", 3600.0)
    service, address = server
    with await connected(address):
        await eventually(lambda: len(service.sessions) == 1)
        service.sessions._last_accepted -= manager.ACCEPT_GRACE_S
        async with asyncio.timeout(10.0):
            assert await service.close(grace=3600.0) == 0


async def test_the_wait_for_handshakes_is_part_of_the_grace_period(server, a_moment, monkeypatch):
    waited, really_wait = [], asyncio.wait

    async def wait(futures, timeout):
        waited.append(timeout)
        reset(sock)
        await really_wait(futures)

    service, address = server
    async with serving(echo) as target:
        with await asked(address, target) as sock, await connected(address):
            assert await receive_exactly(sock, 1) == b"\0"
            await eventually(lambda: len(service.sessions) == 2)
            monkeypatch.setattr(manager.asyncio, "wait", wait)
            assert await service.close(grace=5.0) == 0
            monkeypatch.undo()
    assert 0 < waited[0] < 5.0 - a_moment / 2


async def test_closing_logs_a_refused_client_only_once(server, caplog):
    service, address = server
    with await connected(address) as sock:
        await send(sock, await answer(sock, b"wrong"))
        assert await receive_to_end(sock) == CHECK_SECRET
        assert len(service.sessions.context.lingering) == 1
        assert await service.close(grace=30.0) == 0
    assert len(caplog.records) == 1


async def test_closing_waits_for_a_tunnel_that_is_being_opened(server):
    service, address = server
    with unanswering() as target:
        with await asked(address, target) as sock:
            await eventually(lambda: service.sessions.waiting == 1)
            assert await service.close(grace=0.05) == 1
            assert await receive_to_reset(sock) == b""


async def test_many_tunnels_at_a_time(server):
    service, address = server
    async with serving(echo) as target:
        socks = await asyncio.gather(*(asked(address, target) for _ in range(200)))
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
        with await asked(address, target) as sock:
            assert await receive_to_end(sock) == b"\0bye"
            await send(sock, b"one more thing")
            sock.shutdown(socket.SHUT_WR)
            assert await heard == b"one more thing"
