"""A relay between two connections whose other ends a test uses, and bulk data for it."""

import asyncio
import contextlib
import hashlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from netjumper.relay.ending import RelayEnd
from netjumper.relay.relay import Relay
from netjumper.relay.splice import RelayMemory
from tests.support.clock import Clock
from tests.support.peers import receive, send

SLOW = 64_000
"""A low bandwidth in bytes per second."""
MIB = 1024 * 1024
SMALL_BUFFER = 64 * 1024
SIDES = [("client", "target"), ("target", "client")]


@dataclass
class RelayPair:
    """A relay, and the other ends of the two connections that it joins."""

    relay: Relay
    memory: RelayMemory
    client: socket.socket
    target: socket.socket
    ended: asyncio.Future[RelayEnd]

    def side(self, name: str) -> socket.socket:
        return self.client if name == "client" else self.target

    def moved(self, source: str) -> int:
        return self.relay.bytes_up if source == "client" else self.relay.bytes_down


Join = Callable[..., contextlib.AbstractAsyncContextManager[RelayPair]]


def queued(sock: socket.socket) -> int:
    """Return the number of sent bytes that the peer's kernel has not acknowledged."""
    import fcntl
    import termios

    return struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]


async def send_random(sock: socket.socket, size: int) -> str:
    """Send `size` bytes, in blocks that all differ, and return their SHA-256."""
    digest = hashlib.sha256()
    block = os.urandom(MIB)
    for number in range(size // MIB):
        part = number.to_bytes(8) + block[8:]
        digest.update(part)
        await send(sock, part)
    return digest.hexdigest()


async def receive_digest(sock: socket.socket, size: int) -> str:
    """Receive `size` bytes and return their SHA-256."""
    digest = hashlib.sha256()
    while size and (data := await receive(sock, min(size, MIB))):
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()


@contextlib.asynccontextmanager
async def advancing(clock: Clock) -> AsyncIterator[None]:
    """Advance the clock by a millisecond in each iteration of the event loop."""

    async def advance_forever() -> None:
        while True:
            clock.advance(0.001)
            await asyncio.sleep(0)

    task = asyncio.create_task(advance_forever())
    try:
        yield
    finally:
        task.cancel()
