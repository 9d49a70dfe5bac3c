"""The access log of a jump server."""

import logging
import socket

import pytest

from netjumper.server.clients import Client, Clients
from netjumper.sessions.manager import TunnelLimits
from tests.support.peers import (
    closed_port,
    connected,
    echo,
    eventually,
    receive,
    receive_exactly,
    receive_to_end,
    reset,
    send,
    serving,
)
from tests.support.services import (
    LOCAL_TARGETS,
    SECRET,
    answer,
    destination,
    jump_server_running,
    refusal,
    request_tunnel,
)


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


async def test_an_open_tunnel_is_in_the_debug_log_before_it_ends(server, caplog):
    caplog.set_level(logging.DEBUG)
    _, address = server
    async with serving(echo) as target:
        with await request_tunnel(address, target.address) as sock:
            assert await receive_exactly(sock, 1) == b"\0"
            opened = [it.getMessage() for it in caplog.records if it.name == "netjumper.access"]
            assert len(opened) == 1
            assert f" -> {target.address}: opened after 0." in opened[0]


async def test_a_tunnel_is_one_line_in_the_log(caplog):
    clients = Clients([Client(name="alice", secrets=(SECRET,), guard=LOCAL_TARGETS)])
    async with serving(echo) as target, jump_server_running(clients=clients) as (_, address):
        with caplog.at_level(logging.INFO, "netjumper.access"):
            with await request_tunnel(address, target) as sock:
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
