"""Connections as soak's clients and targets use them: checked to the last byte."""

import asyncio
import contextlib
import errno
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from soak.plan import LONGEST_LINE, Plan

READ_SIZE = 256 * 1024


class WrongError(Exception):
    """Something came that must not come, or did not come that must."""


class Reader(Protocol):
    """What bytes come from."""

    async def __call__(self) -> bytes:
        """Return some; none at the end."""


async def send_pieces(sock: socket.socket, plan: Plan, way: str, size: int) -> None:
    """Send the first `size` bytes of what goes that `way`."""
    loop = asyncio.get_running_loop()
    for data, pause in plan.pieces(way, size):
        await loop.sock_sendall(sock, data)
        if pause:
            await asyncio.sleep(pause)


async def receive_line(sock: socket.socket) -> bytes:
    """Return a plan's line.

    Raises:
        WrongError: it ends in the middle.
    """
    line = b""
    while not line.endswith(b"\n"):
        data = await asyncio.get_running_loop().sock_recv(sock, 1)
        if not data and line:
            raise WrongError("the plan ended in the middle, with an end of stream")
        if not data or len(line) > LONGEST_LINE:
            raise ConnectionAbortedError("no plan was sent")
        line += data
    return line


async def check_all(read: Reader, plan: Plan, way: str, size: int) -> int:
    """Receive to the end of the stream, which has to be the end of what goes that `way`.

    Returns:
        How many bytes came.

    Raises:
        WrongError: they are others, or not so many.
    """
    digest, count = hashlib.sha256(), 0
    while data := await read():
        digest.update(data)
        count += len(data)
    if count != size:
        raise WrongError(f"an end of stream after {count} of {size} bytes {way}, {plan.course}")
    if digest.digest() != plan.digest(way, size):
        raise WrongError(f"{size} bytes {way} are others than were sent")
    return count


async def check_reset(read: Reader, plan: Plan, way: str, most: int) -> int:
    """Receive to a reset; what came before must be the beginning of what goes that `way`.

    Returns:
        How many bytes came.

    Raises:
        WrongError: they are others, or it was no reset.
    """
    digest, count = hashlib.sha256(), 0
    try:
        while data := await read():
            digest.update(data)
            count += len(data)
    except ConnectionError:
        if count > most or digest.digest() != plan.digest(way, count):
            raise WrongError(f"{count} bytes {way} before a reset are no beginning") from None
        return count
    raise WrongError(
        f"an end of stream after {count} bytes {way} that were to be reset, {plan.course}"
    )


def reading(sock: socket.socket) -> Reader:
    """Return what reads from a socket."""

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
    """End our direction.

    Raises:
        ConnectionResetError: the peer has reset it, and that was not read yet.
    """
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        raise ConnectionResetError(*error.args) from None


@contextlib.contextmanager
def closing(sock: socket.socket) -> Iterator[socket.socket]:
    """Close a connection at the end: with a reset, where that is none as planned."""
    sock.setblocking(False)
    try:
        yield sock
    except BaseException:
        reset(sock)
        raise
    sock.close()


@contextlib.asynccontextmanager
async def connected(host: str, port: int) -> AsyncIterator[socket.socket]:
    """Connect to an IPv4 address; the connection is `closing`."""
    with closing(socket.socket()) as sock:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        yield sock
