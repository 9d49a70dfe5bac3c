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
from tests.support.peers import (
    ANSWER,
    CHALLENGE,
    Peer,
    Step,
    destination_size,
    eventually,
    receive_exactly,
    scripted,
    serving,
)
from tests.support.services import LOOPBACK, SECRET, resolver

TARGET = Address("target.example", 443)
GET = b"GET / HTTP/1.1\r\n\r\n"
"""First bytes that may be repeated."""
SSH = b"SSH-2.0-OpenSSH_9.2\r\n"
"""First bytes that may not."""
DESTINATION = destination_size(TARGET)


def pool_at(address: Address, **limits: Any) -> ConnectionPool:
    """Return a pool at a jump host, not yet started."""
    loop = asyncio.get_running_loop()
    dialer = Dialer(loop, timeout=1.0, resolver=resolver())
    return ConnectionPool(JumpHost(loop, address, SECRET, dialer, 5.0), PoolLimits(**limits))


@asynccontextmanager
async def jump_server(parked: Callable[[socket.socket], Any]) -> AsyncIterator[Peer]:
    """A jump server that goes as far as the verdict; then `parked` says what becomes of it."""

    async def behave(sock: socket.socket) -> None:
        await scripted(CHALLENGE, ANSWER, b"\0")(sock)
        await parked(sock)

    async with serving(behave) as peer:
        yield peer


async def serve_target(sock: socket.socket) -> None:
    """Say that the target is reached, and echo."""
    await scripted(DESTINATION, b"\0", Step.ECHO)(sock)


def in_turn(*behaviours: Callable[[socket.socket], Any]) -> Callable[[socket.socket], Any]:
    """Do the first with the first connection that is asked for `TARGET`, and so on; then the last.

    Which connection is asked first is not in the order in which they were accepted.
    """
    left = list(behaviours)

    async def parked(sock: socket.socket) -> None:
        if await receive_exactly(sock, DESTINATION):
            await (left.pop(0) if len(left) > 1 else left[0])(sock)

    return parked


succeed = scripted(b"\0", Step.ECHO)
"""Say that the target is reached, and echo."""
refuse = scripted(b"\7\x1bconnect: connection refused")
end_without_outcome = scripted()
"""Close without an outcome."""
silent = scripted(Step.SILENCE)


class RequestedTunnel:
    """A tunnel that was asked for, and what comes of it."""

    def __init__(self, upstream: Upstream, target: Address = TARGET) -> None:
        self.established: asyncio.Future[Endpoint] = upstream.context.loop.create_future()
        self.request = upstream.connect(
            target, self.established.set_result, self.established.set_exception
        )
        assert not self.established.done(), "called before connect() returned"

    async def socket(self) -> socket.socket:
        return (await self.established).detach()

    async def close(self) -> None:
        """Wait until it stands, and end it."""
        (await self.socket()).close()

    async def error(self) -> NetjumperError:
        with pytest.raises(NetjumperError) as caught:
            await self.established
        return caught.value


@asynccontextmanager
async def upstream_at(
    address: Address, early: EarlyData = EarlyData.KNOWN, *, parked: int = 1
) -> AsyncIterator[Upstream]:
    """A way out with so many connections parked, and that has let go of all at the end."""
    with pool_at(address, min_size=parked, max_size=parked) as pool:
        upstream = Upstream([pool], early=early)
        await eventually(lambda: len(pool) == parked)
        yield upstream
        # A connection that is just being accepted would be nobody's when the jump server ends.
        await eventually(lambda: pool._refill is None and not pool._dialling)
        assert len(upstream.context.unanswered) == 0
        assert len(pool.host.corked) == 0


@contextmanager
def upstream_through(
    *jump_hosts: Address,
    policy: Balancing | None = None,
    secrets: Sequence[bytes] = (),
    parked: int = 1,
    jump_timeout: float = 5.0,
    early: EarlyData = EarlyData.KNOWN,
) -> Iterator[tuple[Upstream, list[ConnectionPool]]]:
    """A way out through several jump hosts, with so many connections parked at each."""
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
        yield Upstream(pools, policy, early), pools


class ControlledPeer:
    """What is done with one connection that is asked for a target, as a test says."""

    def __init__(self) -> None:
        self.asked, self.answer, self.closed = (asyncio.Event() for _ in range(3))
        self.early = b""

    async def answer_on_cue(self, sock: socket.socket) -> None:
        """Answer when told to, or notice that nobody waits for it any more."""
        self.asked.set()
        closing = asyncio.create_task(self._record_close(sock))
        await self.answer.wait()
        closing.cancel()
        await succeed(sock)

    async def never_answer(self, sock: socket.socket) -> None:
        """Wait until nobody waits for an answer."""
        self.asked.set()
        await self._record_close(sock)

    async def receive_early_data(self, sock: socket.socket) -> None:
        """Receive `GET` behind the destination before the answer."""
        self.early = await receive_exactly(sock, len(GET))
        await succeed(sock)

    async def _record_close(self, sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionResetError):  # where early data came
            await silent(sock)
        self.closed.set()


def pool_of(upstream: Upstream) -> ConnectionPool:
    """Return where its connections are parked."""
    (pool,) = upstream._pools
    return pool


USUAL_LATENCY_S = 0.03
"""Seconds that answers are said to take; one is late soon after."""


def with_known_latency(upstream: Upstream) -> Upstream:
    """Have it know how long answers usually take."""
    pool_of(upstream).path._latency.p95 = USUAL_LATENCY_S
    return upstream


@asynccontextmanager
async def bridge_over(
    address: Address, early: EarlyData = EarlyData.KNOWN, *, parked: int = 1, **options: Any
) -> AsyncIterator[tuple[Service, Upstream]]:
    """A bridge on loopback with such a way out, which takes the path for a long one."""
    async with upstream_at(address, early, parked=parked) as upstream:
        doors = {"socks": [LOOPBACK], "http": [LOOPBACK]}
        async with bridge(upstream=upstream, **doors, **options) as service:
            pool_of(upstream).path._latency.p95 = 10.0
            yield service, upstream


def mark_known(upstream: Upstream, target: Address = TARGET) -> None:
    """Have it know the target."""
    upstream.context.known.record_success(target, upstream.context.loop.time())
