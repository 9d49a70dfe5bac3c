"""Parked connections at jump servers that follow a script after the verdict."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData
from netjumper.bridge.bridge import bridge
from netjumper.bridge.upstream.balancing import Balancing
from netjumper.bridge.upstream.pool import ConnectionPool, PoolLimits
from netjumper.bridge.upstream.upstream import Upstream
from netjumper.client.jump_host import JumpHost
from netjumper.errors import NetjumperError
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint
from netjumper.sessions.service import Service
from tests.support.peers import Peer, eventually, receive_exactly, receive_to_end, send, serving
from tests.support.scripted_peer import ANSWER, Step, destination_size, scripted
from tests.support.services import LOOPBACK, SECRET, resolver

TARGET = Address("target.example", 443)
GET = b"GET / HTTP/1.1\r\n\r\n"
"""Replay-safe early data."""
SSH = b"SSH-2.0-OpenSSH_9.2\r\n"
"""Early data that is not replay-safe."""
DESTINATION = destination_size(TARGET)


def pool_at(address: Address, **limits: Any) -> ConnectionPool:
    """Return a pool at a jump host, not yet started."""
    loop = asyncio.get_running_loop()
    dialer = Dialer(loop, timeout=1.0, resolver=resolver())
    return ConnectionPool(JumpHost(loop, address, SECRET, dialer, 5.0), PoolLimits(**limits))


@asynccontextmanager
async def jump_server(parked: Callable[[socket.socket], Any]) -> AsyncIterator[Peer]:
    """A jump server that authenticates each connection, then calls `parked` with it."""

    async def behave(sock: socket.socket) -> None:
        await scripted(Step.CHALLENGE, ANSWER, b"\0")(sock)
        await parked(sock)

    async with serving(behave) as peer:
        yield peer


async def serve_target(sock: socket.socket) -> None:
    """Report that the target is reached, and echo."""
    await scripted(DESTINATION, b"\0", Step.ECHO)(sock)


def in_turn(*behaviours: Callable[[socket.socket], Any]) -> Callable[[socket.socket], Any]:
    """Use one behaviour per connection that `TARGET` is requested on; the last one for all others.

    The order of the requests is not the order in which the connections were accepted.
    """
    left = list(behaviours)

    async def parked(sock: socket.socket) -> None:
        if await receive_exactly(sock, DESTINATION):
            await (left.pop(0) if len(left) > 1 else left[0])(sock)

    return parked


succeed = scripted(b"\0", Step.ECHO)
"""Report that the target is reached, and echo."""
refuse = scripted(b"\7\x1bconnect: connection refused")
end_without_outcome = scripted()
"""Close without an outcome."""
silent = scripted(Step.SILENCE)


class RequestedTunnel:
    """A requested tunnel and its outcome."""

    def __init__(self, upstream: Upstream, target: Address = TARGET) -> None:
        self.established: asyncio.Future[Endpoint] = upstream.context.loop.create_future()
        self.request = upstream.connect(
            target, self.established.set_result, self.established.set_exception
        )
        assert not self.established.done(), "called before connect() returned"

    async def socket(self) -> socket.socket:
        return (await self.established).detach()

    async def close(self) -> None:
        """Wait until the tunnel is established, and close it."""
        (await self.socket()).close()

    async def error(self) -> NetjumperError:
        with pytest.raises(NetjumperError) as caught:
            await self.established
        return caught.value


@asynccontextmanager
async def upstream_at(
    address: Address, early: EarlyData = EarlyData.KNOWN, *, parked: int = 1
) -> AsyncIterator[Upstream]:
    """An upstream over one jump host; at the end, check that it has released everything."""
    with pool_at(address, min_size=parked, max_size=parked) as pool:
        upstream = Upstream([pool], early=early)
        await eventually(lambda: len(pool) == parked)
        yield upstream
        # A connection that is still being accepted would leak when the jump server ends.
        await eventually(lambda: pool._refill is None and not pool._dialling)
        assert len(upstream.context.unanswered) == 0
        assert len(pool.host.corked) == 0


@contextmanager
def upstream_through(
    *jump_hosts: Address,
    balancing: Balancing | None = None,
    secrets: Sequence[bytes] = (),
    parked: int = 1,
    jump_timeout: float = 5.0,
    early: EarlyData = EarlyData.KNOWN,
) -> Iterator[tuple[Upstream, list[ConnectionPool]]]:
    """An upstream over several jump hosts, with so many connections parked at each."""
    loop = asyncio.get_running_loop()
    dialer = Dialer(loop, timeout=1.0, resolver=resolver())
    limits = PoolLimits(min_size=parked, max_size=parked)
    with ExitStack() as stack:
        pools = [
            stack.enter_context(
                ConnectionPool(JumpHost(loop, address, secret, dialer, jump_timeout), limits)
            )
            for address, secret in zip(jump_hosts, secrets or [SECRET] * 9, strict=False)
        ]
        yield Upstream(pools, balancing, early), pools


class ControlledPeer:
    """The peer of one connection with a request, controlled by a test."""

    def __init__(self) -> None:
        self.requested, self.answer, self.closed = (asyncio.Event() for _ in range(3))
        self.early = b""

    async def answer_on_cue(self, sock: socket.socket) -> None:
        """Answer on cue; record it if the connection is closed before."""
        self.requested.set()
        closing = asyncio.create_task(self._record_close(sock))
        await self.answer.wait()
        closing.cancel()
        await succeed(sock)

    async def never_answer(self, sock: socket.socket) -> None:
        """Wait until the connection is closed."""
        self.requested.set()
        await self._record_close(sock)

    async def receive_early_data(self, sock: socket.socket) -> None:
        """Receive `GET` behind the destination before the answer."""
        self.early = await receive_exactly(sock, len(GET))
        await succeed(sock)

    async def receive_early_data_on_cue(self, sock: socket.socket) -> None:
        """Receive `GET` behind the destination, and answer on cue."""
        self.requested.set()
        self.early = await receive_exactly(sock, len(GET))
        await self.answer.wait()
        await succeed(sock)

    async def receive_all_after_the_answer(self, sock: socket.socket) -> None:
        """Answer on cue, and record what comes then until the connection is closed."""
        self.requested.set()
        await self.answer.wait()
        await send(sock, b"\0")
        self.early = await receive_to_end(sock)
        self.closed.set()

    async def receive_early_data_after_the_answer(self, sock: socket.socket) -> None:
        """Answer at once, and receive `GET` then."""
        self.requested.set()
        await send(sock, b"\0")
        self.early = await receive_exactly(sock, len(GET))
        self.closed.set()

    async def _record_close(self, sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionResetError):  # after early data
            await silent(sock)
        self.closed.set()


def pool_of(upstream: Upstream) -> ConnectionPool:
    """Return the only pool of an upstream."""
    (pool,) = upstream._pools
    return pool


USUAL_LATENCY_S = 0.03
"""The usual seconds until an answer; it is late soon after."""


def with_known_latency(upstream: Upstream) -> Upstream:
    """Set the usual time until an answer, and return the upstream."""
    pool_of(upstream).path._latency.p95 = USUAL_LATENCY_S
    return upstream


@asynccontextmanager
async def bridge_over(
    address: Address, early: EarlyData = EarlyData.KNOWN, *, parked: int = 1, **options: Any
) -> AsyncIterator[tuple[Service, Upstream]]:
    """A bridge on loopback over `upstream_at`, which assumes a long path."""
    async with upstream_at(address, early, parked=parked) as upstream:
        listeners = {"socks": [LOOPBACK], "http": [LOOPBACK]}
        async with bridge(upstream=upstream, **listeners, **options) as service:
            pool_of(upstream).path._latency.p95 = 10.0
            yield service, upstream


def mark_known(upstream: Upstream, target: Address = TARGET) -> None:
    """Make the target known."""
    upstream.context.known.record_success(target, upstream.context.loop.time())
