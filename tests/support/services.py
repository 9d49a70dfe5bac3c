"""A jump server and a bridge in the process of the test, and messages of their protocol."""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.target_rules import Rule
from netjumper.bridge.bridge import bridge
from netjumper.client.jump_host import JumpHost
from netjumper.net.connector import TargetFilter
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint
from netjumper.net.resolver import Resolver
from netjumper.server.clients import single_secret
from netjumper.server.guard import Guard
from netjumper.server.jump_server import jump_server
from netjumper.sessions.service import Service
from netjumper.tls.context import Encryption
from tests.support.peers import (
    connected,
    no_descriptor_leaks,
    receive_exactly,
    receive_to_end,
    send,
)

SECRET = b"correct horse battery staple"
LOCAL_TARGETS = Guard([Rule.parse("127.0.0.0/8"), Rule.parse("::1")])
"""Allows targets on this machine."""
AUTH_REFUSAL = b"\1\x1echallenge failed, check secret"
"""The refusal of a client with a wrong secret."""
LOOPBACK = ListenAddress("127.0.0.1", 0)

NAMES = {"localhost": "127.0.0.1", "target.example": "127.0.0.1"}


def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
    """Look up a name of `NAMES`; other names do not exist."""
    if host not in NAMES:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (NAMES[host], port))]


def resolver(find: Callable[..., list[Any]] = getaddrinfo) -> Resolver:
    """Return a resolver that uses no network."""
    return Resolver(asyncio.get_running_loop(), find)


@contextlib.asynccontextmanager
async def running_service(service: Service) -> AsyncIterator[Service]:
    """Run a service, and assert that it releases all resources at the end."""
    async with no_descriptor_leaks(), service:
        yield service
    assert len(service.sessions) == 0
    assert len(service.sessions.context.handshakes.deadlines) == 0
    assert len(service.sessions.context.lingering) == 0


@contextlib.asynccontextmanager
async def jump_server_running(
    *, guard: TargetFilter = LOCAL_TARGETS, **options: Any
) -> AsyncIterator[tuple[Service, Address]]:
    """Run a jump server on loopback with `SECRET`; yield it and its address."""
    options = {
        "listen": [LOOPBACK],
        "clients": single_secret(SECRET, guard),
        "resolver": resolver(),
    } | options
    async with running_service(jump_server(**options)) as service:
        yield service, Address.parse(service.listening[0][1])


def dialer_of(service: Service) -> Any:
    """Return the dialer for targets of a jump server."""
    account = service.sessions.context.admission.account_of("")
    assert account is not None
    return account.connector


@contextlib.asynccontextmanager
async def bridge_running(jump_host: Address, **options: Any) -> AsyncIterator[Service]:
    """Run a bridge of `bridge_through`."""
    async with running_service(bridge_through(jump_host, **options)) as service:
        yield service


def bridge_through(
    jump_host: Address,
    *,
    jump_timeout: float = 15.0,
    secret: bytes = SECRET,
    encryption: Encryption | None = None,
    **options: Any,
) -> Service:
    """Return a bridge on loopback with a listener of each kind, through `jump_host`."""
    loop = asyncio.get_running_loop()
    endpoint = Endpoint if encryption is None else encryption.endpoint
    dialer = Dialer(loop, timeout=5.0, resolver=resolver(_no_names), endpoint=endpoint)
    upstream = JumpHost(loop, jump_host, secret, dialer, jump_timeout)
    listeners = {"socks": [LOOPBACK], "http": [LOOPBACK], "mixed": [LOOPBACK]}
    return bridge(upstream=upstream, **listeners, **options)


def _no_names(host: str, port: int, **_: Any) -> list[Any]:
    raise AssertionError(f"the bridge looked up {host}")


async def answer(sock: socket.socket, secret: bytes = SECRET) -> bytes:
    """Receive a challenge and return the frame of the answer."""
    size = (await receive_exactly(sock, 1))[0]
    challenge = await receive_exactly(sock, size)
    return b"\x14" + hashlib.sha1(challenge + secret).digest()


def destination(target: object) -> bytes:
    """Return the frame that names the target."""
    text = str(target).encode()
    return bytes((len(text),)) + text


async def request_tunnel(server: Address, target: object) -> socket.socket:
    """Authenticate, request a tunnel to `target`, and return the connection before its outcome."""
    sock = await connected(server)
    await send(sock, await answer(sock))
    assert await receive_exactly(sock, 1) == b"\0"
    await send(sock, destination(target))
    return sock


async def refusal(server: Address, target: object) -> str:
    """Return the reason for which the jump server refuses a tunnel."""
    with await request_tunnel(server, target) as sock:
        data = await receive_to_end(sock)
    assert data[0] == 1
    assert data[1] == len(data) - 2
    return data[2:].decode()
