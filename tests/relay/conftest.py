"""Relays of each kind: that splice, copy, encrypt, and that wait for bandwidth."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from netjumper.net.endpoint import Endpoint
from netjumper.relay.bandwidth import MIN_SAVED_BYTES, Bandwidth
from netjumper.relay.ending import RelayEnd
from netjumper.relay.relay import Relay
from netjumper.relay.splice import CAN_SPLICE, RelayMemory
from tests.support.clock import Clock
from tests.support.peers import no_descriptor_leaks, tcp_pair
from tests.support.relay_pair import MIB, SLOW, SMALL_BUFFER, Join, RelayPair
from tests.support.tls_pair import tls_pair


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slow(clock: Clock) -> Bandwidth:
    return Bandwidth(clock, SLOW)


@pytest.fixture
def spent(slow: Bandwidth) -> Bandwidth:
    """A slow bandwidth without a byte left for the next second."""
    slow.spend(SLOW + MIN_SAVED_BYTES)
    return slow


@pytest.fixture(params=["splice", "copy", "tls", "throttled"])
def way(request: pytest.FixtureRequest) -> str:
    """How a relay moves bytes.

    With `tls` it is two of them, and TLS in between; `throttled` is `splice` with limits that it
    comes up against now and then.
    """
    if request.param in ("splice", "throttled") and not CAN_SPLICE:
        pytest.skip("only Linux splices")
    return request.param


@pytest.fixture
def splice(way: str) -> bool:
    return way in ("splice", "throttled")


@pytest.fixture
async def memory(splice: bool) -> AsyncIterator[RelayMemory]:
    memory = RelayMemory(splice=splice)
    yield memory
    memory.close()


@pytest.fixture
def join(memory: RelayMemory, way: str) -> Join:
    """Return what makes a relay, starts it by default and checks for leaked descriptors."""

    @contextlib.asynccontextmanager
    async def joined(
        *,
        pair: Callable[[], tuple[socket.socket, socket.socket]] = tcp_pair,
        start: bool = True,
        small_buffers: bool = False,
        bandwidth: Bandwidth | None = None,
    ) -> AsyncIterator[RelayPair]:
        loop = asyncio.get_running_loop()
        if way == "throttled" and bandwidth is None:
            bandwidth = Bandwidth(loop, 400 * MIB, Bandwidth(loop, 500 * MIB))
        async with no_descriptor_leaks():
            client, near_client = pair()
            near_target, target = pair()
            if small_buffers:  # on the way out; on the way in there is room for a full read
                for near, far in ((near_client, client), (near_target, target)):
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
                    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
            ended: asyncio.Future[RelayEnd] = loop.create_future()
            far = Endpoint(loop, near_target)
            second = None
            if way == "tls":
                between = pair()
                for sock in between if small_buffers else ():
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
                encrypted, decrypted = await tls_pair(*between)
                second = Relay(memory, decrypted, far, lambda _: None)
                second.start()
                far = encrypted
            relay = Relay(
                memory, Endpoint(loop, near_client), far, ended.set_result, bandwidth=bandwidth
            )
            if start:
                relay.start()
            with client, target:
                yield RelayPair(relay, memory, client, target, ended)
                relay.stop(RelayEnd.SHUTDOWN)
                if second is not None:
                    second.stop(RelayEnd.SHUTDOWN)
            memory.close()

    return joined
