"""A finished tunnel is freed at once: a reference cycle would keep its buffers for minutes."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData, JumpPolicy
from netjumper.bridge.bridge import bridge
from netjumper.bridge.upstream.balancing import balancing_for
from netjumper.bridge.upstream.pool import ConnectionPool, PoolLimits
from netjumper.bridge.upstream.request import Request
from netjumper.bridge.upstream.upstream import Upstream
from netjumper.client.jump_host import JumpConnection, JumpHost
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint
from netjumper.relay.relay import Relay
from netjumper.sessions.service import Service
from tests.support.peers import (
    closed_port,
    connected,
    echo,
    eventually,
    receive_exactly,
    receive_to_reset,
    reset,
    send,
    serving,
)
from tests.support.services import LOOPBACK, SECRET
from tests.support.tls_pair import sides_of, tls_jump_server

PARKED = 2
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@contextlib.asynccontextmanager
async def chain(folder: Path) -> AsyncIterator[Service]:
    """Run a jump server with TLS and a bridge that has connections parked there."""
    sides = sides_of(folder)
    loop = asyncio.get_running_loop()
    async with tls_jump_server(sides) as jump:
        dialer = Dialer(loop, timeout=5.0, endpoint=sides[0].endpoint)
        host = JumpHost(loop, jump, SECRET, dialer)
        with ConnectionPool(host, PoolLimits(min_size=PARKED, max_size=PARKED)) as pool:
            upstream = Upstream([pool], balancing_for(JumpPolicy.FIRST, [1]), EarlyData("always"))
            async with bridge(upstream=upstream, http=[LOOPBACK]) as service:
                yield service


def left() -> list[object]:
    """Return the objects of finished tunnels that are not freed."""
    return [
        it
        for it in gc.get_objects()
        if isinstance(it, (Relay, Request))
        or (isinstance(it, JumpConnection) and it._endpoint is None)
        or (isinstance(it, Endpoint) and it._sock.fileno() < 0)
    ]


@pytest.mark.parametrize("how", ["ended", "reset", "refused", "given up"])
async def test_a_finished_tunnel_is_freed_without_the_garbage_collector(tmp_path, how):
    async with serving(echo) as target, chain(tmp_path) as service:
        place = closed_port() if how == "refused" else target.address
        for _ in range(3):
            with await connected(Address.parse(service.address_of("http"))) as sock:
                await send(sock, f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\nhello".encode())
                if how == "refused":
                    assert await receive_to_reset(sock) in (b"", ESTABLISHED)
                elif how != "given up":
                    assert (
                        await receive_exactly(sock, len(ESTABLISHED) + 5) == ESTABLISHED + b"hello"
                    )
                if how == "reset":
                    reset(sock)
        await eventually(lambda: not len(service.sessions) and not left())
