"""Send and check the contents of connections of the soak test."""

import asyncio
import contextlib
import errno
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from soak.plan import MAX_LINE_BYTES, Plan

READ_SIZE = 256 * 1024


class WrongError(Exception):
    """The data or the end of a stream is wrong."""


class Reader(Protocol):
    """A source of bytes."""

    async def __call__(self) -> bytes:
        """Return the next bytes, or none at the end of the stream."""


async def send_pieces(sock: socket.socket, plan: Plan, direction: str, size: int) -> None:
    """Send the first `size` bytes of a direction of the plan, with its pauses.

    Args:
        sock: of the connection.
        plan: of the connection.
        direction: `up` or `down`.
        size: number of bytes.
    """
    loop = asyncio.get_running_loop()
    for data, pause in plan.pieces(direction, size):
        await loop.sock_sendall(sock, data)
        if pause:
            await asyncio.sleep(pause)


async def receive_line(sock: socket.socket) -> bytes:
    """Return the line of a plan.

    Raises:
        WrongError: the stream ends within the line.
        ConnectionAbortedError: no plan was sent.
    """
    line = b""
    while not line.endswith(b"\n"):
        data = await asyncio.get_running_loop().sock_recv(sock, 1)
        if not data and line:
            raise WrongError("an end of stream within the plan")
        if not data or len(line) > MAX_LINE_BYTES:
            raise ConnectionAbortedError("no plan was sent")
        line += data
    return line


async def check_all(read: Reader, plan: Plan, direction: str, size: int) -> int:
    """Read to the end of the stream and check its contents.

    Args:
        read: reads from the stream.
        plan: of the connection.
        direction: `up` or `down`.
        size: expected number of bytes.

    Returns:
        How many bytes were read.

    Raises:
        WrongError: their number or their contents are wrong.
    """
    digest, count = hashlib.sha256(), 0
    while data := await read():
        digest.update(data)
        count += len(data)
    if count != size:
        raise WrongError(
            f"an end of stream after {count} of {size} bytes {direction}, {plan.course}"
        )
    if digest.digest() != plan.digest(direction, size):
        raise WrongError(f"{size} bytes {direction} differ from those sent")
    return count


async def check_reset(read: Reader, plan: Plan, direction: str, most: int) -> int:
    """Read until a reset and check the contents before it.

    Args:
        read: reads from the stream.
        plan: of the connection.
        direction: `up` or `down`.
        most: maximum number of bytes before the reset.

    Returns:
        How many bytes were read.

    Raises:
        WrongError: the contents are wrong, or the stream ended without a reset.
    """
    digest, count = hashlib.sha256(), 0
    try:
        while data := await read():
            digest.update(data)
            count += len(data)
    except ConnectionError:
        if count > most or digest.digest() != plan.digest(direction, count):
            raise WrongError(
                f"{count} bytes {direction} before a reset differ from those sent"
            ) from None
        return count
    raise WrongError(
        f"an end of stream instead of a reset after {count} bytes {direction}, {plan.course}"
    )


def reading(sock: socket.socket) -> Reader:
    """Return a reader of a socket."""

    async def read() -> bytes:
        return await asyncio.get_running_loop().sock_recv(sock, READ_SIZE)

    return read


def reset(sock: socket.socket) -> None:
    """Close with a reset, unless it is closed already."""
    if sock.fileno() == -1:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def end(sock: socket.socket) -> None:
    """End the sending direction.

    Raises:
        ConnectionResetError: the peer has reset the connection.
    """
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        raise ConnectionResetError(*error.args) from None


@contextlib.contextmanager
def closing(sock: socket.socket) -> Iterator[socket.socket]:
    """Close a connection at the end of the block, with a reset if an error ended it."""
    sock.setblocking(False)
    try:
        yield sock
    except BaseException:
        reset(sock)
        raise
    sock.close()


@contextlib.asynccontextmanager
async def connected(host: str, port: int) -> AsyncIterator[socket.socket]:
    """Connect to an IPv4 address; the end of the block closes the connection as `closing` does."""
    with closing(socket.socket()) as sock:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        yield sock
