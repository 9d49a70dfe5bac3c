"""A jumper with its own jump server, and helpers to use it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trustme

from netjumper import Jumper
from netjumper.addressing.address import Address
from tests.support.scripted_peer import ANSWER, destination_size
from tests.support.servers import serving_context
from tests.support.services import SECRET, jump_server_running

TARGET = Address("target.example", 443)
REQUEST = ANSWER + destination_size(TARGET)


@contextlib.asynccontextmanager
async def jumper_running(**options: Any) -> AsyncIterator[Jumper]:
    """Run a jump server and yield a jumper for it."""
    async with jump_server_running(**options) as (_, address):
        yield Jumper(str(address), SECRET)


async def connect(jumper: Jumper, target: object, **options: Any) -> socket.socket:
    """Call the blocking `connect` in a thread."""
    return await asyncio.to_thread(jumper.connect, str(target), **options)


async def open_and_close(jumper: Jumper, target: object, **options: Any) -> None:
    """Call `open_connection` and close the connection, for its errors."""
    _, writer = await jumper.open_connection(str(target), **options)
    writer.close()
    await writer.wait_closed()


async def connect_and_close(jumper: Jumper, target: object, **options: Any) -> None:
    """Call `connect` and close the socket, for its errors."""
    (await connect(jumper, target, **options)).close()


both_ways = pytest.mark.parametrize("attempt", [connect_and_close, open_and_close])


@contextlib.asynccontextmanager
async def tls_server(
    authority: trustme.CA,
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Run a TLS server on loopback with a certificate for `target.example`; yield its port."""
    context = serving_context(authority, "target.example")
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
