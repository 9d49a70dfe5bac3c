"""Peers with faulty behaviour, as on the internet, and other helpers of socket tests.

A peer is an async context manager on the running loop. It listens on a free port of loopback:

    async with serving(echo) as peer:
        ... connect to peer.address ...

An async function of the socket defines its behaviour on a connection. The end of the `with` block
cuts open connections and raises the errors of these functions.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import stat
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from netjumper.addressing.address import Address

CHUNK = 256 * 1024
KEEPALIVE_IDLE = socket.TCP_KEEPALIVE if sys.platform == "darwin" else socket.TCP_KEEPIDLE
_RESET = struct.pack("ii", 1, 0)

Behaviour = Callable[[socket.socket], Awaitable[None]]


async def eventually(condition: Callable[[], bool], within: float = 10.0) -> None:
    """Return as soon as `condition` holds; fail after `within` seconds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - conditions have no event
            await asyncio.sleep(0.002)


async def settled(count: Callable[[], int]) -> int:
    """Return a count once it has been constant for a while."""
    last, same = count(), 0

    def unchanged() -> bool:
        nonlocal last, same
        now = count()
        last, same = now, same + 1 if now == last else 0
        return same == 50

    await eventually(unchanged)
    return last


def open_descriptors() -> Counter[str]:
    """Count the sockets, pipes and other descriptors of this process."""
    kinds: Counter[str] = Counter()
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - macOS has it too; a number, no path
        with contextlib.suppress(OSError):
            mode = os.fstat(int(name)).st_mode
            kind = "pipe" if stat.S_ISFIFO(mode) else "other"
            kinds["socket" if stat.S_ISSOCK(mode) else kind] += 1
    return kinds


@contextlib.asynccontextmanager
async def no_descriptor_leaks() -> AsyncIterator[None]:
    """Fail if sockets or pipes that were opened in the block stay open."""
    before = open_descriptors()
    yield
    for kind in ("socket", "pipe"):
        await eventually(lambda kind=kind: open_descriptors()[kind] <= before[kind])


# --- sockets ------------------------------------------------------------------------------


def listening(host: str = "127.0.0.1", port: int = 0, backlog: int = 256) -> socket.socket:
    """Return a non-blocking listening socket, by default on a free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family, backlog=backlog)
    sock.setblocking(False)
    return sock


def address_of(sock: socket.socket) -> Address:
    return Address(*sock.getsockname()[:2])


def tcp_pair(host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    """Return two non-blocking sockets, connected to each other by TCP."""
    with listening(host) as listener:
        one = socket.create_connection(listener.getsockname()[:2])
        other, _ = listener.accept()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


def closed_port(host: str = "127.0.0.1") -> Address:
    """Return an address that refuses connections.

    Its port is below the ephemeral ports, which other tests use at the same time.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        address = Address(host, 10_000 + secrets.randbelow(20_000))
        with contextlib.suppress(OSError):
            socket.create_server((host, address.port), family=family).close()
            return address


@contextlib.contextmanager
def unresponsive(host: str = "127.0.0.1", port: int = 0) -> Iterator[Address]:
    """Yield an address that neither refuses nor accepts connections, as its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listening(host, port, backlog=0))
        filler = stack.enter_context(socket.socket(listener.family))
        filler.connect(listener.getsockname())
        yield address_of(listener)


def reset(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


def keepalive(sock: socket.socket) -> tuple[int, int, int]:
    """Return whether keepalive is on, its idle time and its interval in seconds."""
    return (
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        sock.getsockopt(socket.IPPROTO_TCP, KEEPALIVE_IDLE),
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    )


async def connected(address: Address | str) -> socket.socket:
    """Return a non-blocking socket connected to `address`."""
    if isinstance(address, str):
        address = Address.parse(address)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
    except BaseException:
        sock.close()
        raise
    return sock


async def send(sock: socket.socket, data: bytes) -> None:
    """Send all data."""
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def receive(sock: socket.socket, count: int = CHUNK) -> bytes:
    """Receive up to `count` bytes; none at the end of the stream."""
    return await asyncio.get_running_loop().sock_recv(sock, count)


async def receive_exactly(sock: socket.socket, count: int) -> bytes:
    """Receive `count` bytes, or fewer if the stream ends."""
    data = bytearray()
    while len(data) < count and (more := await receive(sock, count - len(data))):
        data += more
    return bytes(data)


async def receive_to_end(sock: socket.socket) -> bytes:
    """Receive until the end of the stream; a reset raises."""
    data = bytearray()
    while more := await receive(sock):
        data += more
    return bytes(data)


async def receive_to_reset(sock: socket.socket) -> bytes:
    """Receive until a reset and return the bytes before it; fail at a clean end."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while more := await receive(sock):
            data += more
        raise AssertionError(f"a clean end of stream after {len(data)} bytes, not a reset")
    return bytes(data)


def nothing_to_receive(sock: socket.socket) -> bool:
    """Return whether there is neither data nor an end of stream to read."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


# --- peers --------------------------------------------------------------------------------


class Peer:
    """A listening peer, with its address and the number of accepted connections."""

    def __init__(self, listener: socket.socket, behave: Behaviour) -> None:
        self._listener = listener
        self._behave = behave
        self._connections: set[asyncio.Task[None]] = set()
        self.address = address_of(listener)
        self.accepted = 0
        self._last: object = None
        self.failures: list[BaseException] = []

    def __str__(self) -> str:
        return str(self.address)

    async def accept(self) -> None:
        while True:
            sock, self._last = await asyncio.get_running_loop().sock_accept(self._listener)
            self.accepted += 1
            task = asyncio.create_task(self._serve(sock))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def connection_count(self) -> int:
        """Return the number of connections so far, including those in the queue."""
        with await connected(self.address) as sock:
            await eventually(lambda: self._last == sock.getsockname())
        return self.accepted - 1

    async def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                await self._behave(sock)
            except ConnectionError:
                pass  # the client is gone; the test checks that
            except Exception as error:  # noqa: BLE001 - raised when the peer is closed
                self.failures.append(error)

    async def close(self) -> None:
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(behave: Behaviour, host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    """Run a peer that calls `behave(socket)` for each connection and then closes it."""
    with listening(host) as listener:
        peer = Peer(listener, behave)
        accepting = asyncio.create_task(peer.accept())
        try:
            yield peer
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            await peer.close()
    for failure in peer.failures:
        raise failure


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


async def echo(sock: socket.socket) -> None:
    """Send all data back until the end of the stream."""
    while data := await receive(sock):
        await send(sock, data)


async def black_hole(sock: socket.socket) -> None:
    """Neither read nor write."""
    await forever()


async def answer_after_end(sock: socket.socket) -> None:
    """Answer after the client's end of stream."""
    data = await receive_to_end(sock)
    await send(sock, b"%d bytes received" % len(data))


def speak_first(greeting: bytes) -> Behaviour:
    """Return a behaviour: send a greeting, then echo."""

    async def behave(sock: socket.socket) -> None:
        await send(sock, greeting)
        await echo(sock)

    return behave


def reset_after(count: int, answer: bytes = b"") -> Behaviour:
    """Return a behaviour: receive `count` bytes, send `answer`, reset."""

    async def behave(sock: socket.socket) -> None:
        await receive_exactly(sock, count)
        await send(sock, answer)
        reset(sock)

    return behave
