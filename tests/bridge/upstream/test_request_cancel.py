"""Cancelled requests: nothing is left of them in any state."""

import asyncio
import socket

import pytest

from netjumper.bridge.upstream.upstream import Upstream
from netjumper.errors import (
    NetjumperError,
)
from netjumper.net.endpoint import Endpoint
from tests.support.peers import serving, unresponsive
from tests.support.scripted_jump_server import (
    DESTINATION,
    TARGET,
    RequestedTunnel,
    jump_server,
    pool_at,
    pool_of,
    silent,
    upstream_at,
)
from tests.support.scripted_peer import ANSWER, Step, scripted

pytestmark = pytest.mark.usefixtures("nothing_is_left")


async def test_request_cancelled_during_its_dial_leaves_nothing():
    called: list[Endpoint | NetjumperError] = []
    with unresponsive() as address, pool_at(address, min_size=0, max_size=0) as pool:
        upstream = Upstream([pool])
        request = upstream.connect(TARGET, called.append, called.append)
        request.cancel()
        assert len(upstream.context.unanswered) == 0
        assert called == []


@pytest.mark.parametrize(
    "script", [(), (Step.CHALLENGE,), (Step.CHALLENGE, ANSWER, b"\0", DESTINATION)]
)
async def test_request_cancelled_in_the_handshake_leaves_nothing(script):
    reached = asyncio.Event()

    async def wait(sock: socket.socket) -> None:
        await scripted(*script)(sock)
        reached.set()
        await silent(sock)

    async with serving(wait) as jump:
        with pool_at(jump.address, min_size=0, max_size=0) as pool:
            upstream = Upstream([pool])
            requested = RequestedTunnel(upstream)
            await reached.wait()
            requested.request.cancel()
            requested.request.cancel()
            assert len(upstream.context.unanswered) == len(pool.host.deadlines) == 0
            assert not requested.established.done()


@pytest.mark.parametrize("known", [True, False], ids=["held back", "sent"])
async def test_request_cancelled_on_a_parked_connection_closes_it(known):
    closed = asyncio.Event()

    async def notice(sock: socket.socket) -> None:
        await silent(sock)
        closed.set()

    async with jump_server(notice) as jump:
        async with upstream_at(jump.address) as upstream:
            if known:
                upstream.context.known.record_success(TARGET, upstream.context.loop.time())
            pool_of(upstream).path.refill_time = 1.0
            requested = RequestedTunnel(upstream)
            assert len(pool_of(upstream).host.corked) == known
            requested.request.cancel()
            await closed.wait()
            assert not requested.established.done()
