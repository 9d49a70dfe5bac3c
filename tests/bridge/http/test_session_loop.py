"""A target that is the bridge itself, with a jump server on the same machine."""

import asyncio
import socket

import pytest

from netjumper.addressing.address import Address
from netjumper.net.connector import AllowAll
from netjumper.net.resolver import Resolver
from netjumper.server.guard import Guard
from tests.support.peers import connected, receive_exactly, receive_to_end, send
from tests.support.services import bridge_running, jump_server_running

SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "2130706433",
    "localhost",
    "LocalHost",
    "0.0.0.0",
    "[::ffff:127.0.0.1]",
]


async def fetch(listener: str, request: str) -> bytes:
    with await connected(listener) as sock:
        await send(sock, f"{request} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sock.shutdown(socket.SHUT_WR)
        return await receive_to_end(sock)


def system_resolver() -> Resolver:
    return Resolver(asyncio.get_running_loop())


@pytest.mark.parametrize("host", SPELLINGS)
async def test_jump_server_denies_the_bridge_on_its_own_machine(host):
    async with (
        jump_server_running(guard=Guard(), resolver=system_resolver()) as (_, jump),
        bridge_running(jump) as service,
    ):
        for listener in ("http", "socks", "mixed"):
            itself = f"{host}:{Address.parse(service.address_of(listener)).port}"
            for request in (f"CONNECT {itself}", f"GET http://{itself}/"):
                received = await fetch(service.address_of("http"), request)
                assert received.startswith(b"HTTP/1.1 403 ")
                assert b"not permitted" in received


@pytest.mark.parametrize("host", SPELLINGS)
async def test_permitted_loop_is_detected_after_one_round(host):
    async with (
        jump_server_running(guard=AllowAll(), resolver=system_resolver()) as (jump_service, jump),
        bridge_running(jump) as service,
    ):
        itself = f"{host}:{Address.parse(service.address_of('http')).port}"
        received = await fetch(service.address_of("http"), f"GET http://{itself}/")
        assert received.startswith(b"HTTP/1.1 502 ")
        assert b"proxy_loop_detected" in received
        assert len(jump_service.sessions) <= 1


async def test_tunnel_to_the_bridge_itself_opens_no_further_one():
    """Each further round needs another CONNECT from the client itself."""
    async with (
        jump_server_running(guard=AllowAll()) as (jump_service, jump),
        bridge_running(jump) as service,
    ):
        listener = service.address_of("http")
        with await connected(listener) as sock:
            await send(sock, f"CONNECT {listener} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            established = b"HTTP/1.1 200 Connection established\r\n\r\n"
            assert await receive_exactly(sock, len(established)) == established
            assert len(jump_service.sessions) == 1
            await send(sock, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await receive_exactly(sock, 13)) == b"HTTP/1.1 400 "
