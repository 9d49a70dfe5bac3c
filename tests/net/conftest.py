"""One end of a tunnel, and relays of both kinds: that splice, and that copy."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from netjumper.net import pipes
from netjumper.net.endpoint import Endpoint
from netjumper.net.pipes import RelayMemory
from netjumper.net.relay import Ending, Relay
from relaying import MIB, SMALL_BUFFER, Join, Joined
from rogues import (
    no_descriptor_is_left,
    tcp_pair,
)


@pytest.fixture(params=[True, False], ids=["splice", "copy"])
def splice(request: pytest.FixtureRequest) -> bool:
    if request.param and not pipes.CAN_SPLICE:
        pytest.skip("only Linux splices")
    return request.param


@pytest.fixture
async def memory(splice: bool) -> AsyncIterator[RelayMemory]:
    memory = RelayMemory(splice=splice)
    yield memory
    memory.close()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Endpoint, socket.socket]]:
    """An endpoint, and the socket at its other end."""
    async with no_descriptor_is_left():
        ours, theirs = tcp_pair()
        endpoint = Endpoint(asyncio.get_running_loop(), ours)
        yield endpoint, theirs
        endpoint.close()
        theirs.close()


@pytest.fixture
def join(memory: RelayMemory) -> Join:
    """Return what makes a relay, starts it (unless told not to) and misses no descriptor."""

    @contextlib.asynccontextmanager
    async def joined(
        *,
        pair: Callable[[], tuple[socket.socket, socket.socket]] = tcp_pair,
        start: bool = True,
        small_buffers: bool = False,
    ) -> AsyncIterator[Joined]:
        loop = asyncio.get_running_loop()
        async with no_descriptor_is_left():
            client, near_client = pair()
            near_target, target = pair()
            if small_buffers:  # on the way out; on the way in there is room for a full read
                for near, far in ((near_client, client), (near_target, target)):
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
                    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
            ended: asyncio.Future[Ending] = loop.create_future()
            relay = Relay(
                memory, Endpoint(loop, near_client), Endpoint(loop, near_target), ended.set_result
            )
            if start:
                relay.start()
            with client, target:
                yield Joined(relay, memory, client, target, ended)
                relay.stop(Ending.SHUTDOWN)
            memory.close()

    return joined
