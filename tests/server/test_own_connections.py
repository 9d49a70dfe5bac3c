"""A router that sends a connection to its public address back to this machine (hairpin NAT)."""

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.net.connector import AllowAll
from netjumper.server import own_connections
from netjumper.server.own_connections import OwnConnections
from tests.support.namespaces import call_in_namespace
from tests.support.peers import eventually, receive_exactly, receive_to_end
from tests.support.services import jump_server_running, request_tunnel

ROUTER = "203.0.113.1"


@pytest.fixture
async def connections() -> OwnConnections:
    return OwnConnections(asyncio.get_running_loop(), lambda: [9527])


def test_connection_from_a_dialled_port_is_an_own_one(connections, caplog):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        connections.dialled(sock, 9527)
        assert connections.includes(f"192.0.2.1:{port}")
        assert not connections.includes(f"192.0.2.1:{port % 65535 + 1}")
        assert not connections.includes("unix")
    message = f"192.0.2.1:{port}: this jump server has connected to itself; the connection is reset"
    assert caplog.messages == [message]


def test_dial_to_another_port_is_not_remembered(connections):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        connections.dialled(sock, 443)
        assert not connections.includes(f"192.0.2.1:{sock.getsockname()[1]}")


def test_few_ports_are_remembered(connections):
    """Otherwise a client could have all ports remembered, and shut out everybody else."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(own_connections.MAX_REMEMBERED + 1):
            sock = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            connections.dialled(sock, 9527)
            ports.append(sock.getsockname()[1])
    found = [connections.includes(f"192.0.2.1:{port}") for port in ports]
    assert found == [False] + [True] * own_connections.MAX_REMEMBERED


async def test_dialled_port_is_forgotten(connections, monkeypatch):
    monkeypatch.setattr(own_connections, "REMEMBERED_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        connections.dialled(sock, 9527)
        connections.dialled(sock, 9527)
        await eventually(lambda: not connections.includes(f"192.0.2.1:{port}"))
        assert not connections._dialled_from


@pytest.mark.needs("ip", "nft")
@pytest.mark.skipif(sys.platform != "linux", reason="needs a network namespace")
def test_connection_through_the_router_to_itself_is_reset() -> None:
    call_in_namespace(__name__, connect_through_the_router.__name__)


def connect_through_the_router() -> None:
    rules = f"""
        table ip router {{
            chain out {{
                type nat hook output priority -100
                ip daddr {ROUTER} dnat to 127.0.0.1
            }}
        }}
    """
    subprocess.run(
        ["ip", "route", "add", f"{ROUTER}/32", "dev", "lo", "src", "127.0.0.1"], check=True
    )
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    logging.disable()

    async def connect() -> None:
        listen = [ListenAddress("127.0.0.1", 0)]
        async with jump_server_running(listen=listen, guard=AllowAll()) as (service, jump):
            with await request_tunnel(jump, Address(ROUTER, jump.port)) as sock:
                # It arrives before or after the dial has seen that it is connected.
                outcome = bytearray()
                with contextlib.suppress(ConnectionResetError):
                    outcome += await receive_exactly(sock, 1)
                    outcome += await receive_to_end(sock)
            assert outcome == b"\0" or outcome.endswith(b"connection reset by peer")
            await eventually(lambda: len(service.sessions) == 0)

    asyncio.run(connect())
