"""Plain HTTP requests to a bridge, and a target that answers them."""

import contextlib
import socket
from collections.abc import AsyncIterator

from netjumper.addressing.address import Address
from netjumper.sessions.service import Service
from tests.support.peers import (
    connected,
    receive,
    send,
    serving,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(target: object, path: str = "/", *fields: str, method: str = "GET") -> bytes:
    lines = [f"{method} http://{target}{path} HTTP/1.1", "Host: x", *fields, "", ""]
    return "\r\n".join(lines).encode()


async def receive_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        more = await receive(sock)
        assert more, f"end of stream after {data!r}"
        data += more
    return data


@contextlib.asynccontextmanager
async def web(*, close: bool = False) -> AsyncIterator[tuple[Address, list[bytes]]]:
    """Run a server that answers `ok` to all requests; yield its address and their heads."""
    heads: list[bytes] = []

    async def answer(sock: socket.socket) -> None:
        pending = b""
        while more := await receive(sock):
            pending += more
            while b"\r\n\r\n" in pending:
                head, _, pending = pending.partition(b"\r\n\r\n")
                heads.append(head)
                await send(sock, OK)
                if close:
                    return

    async with serving(answer) as target:
        yield target.address, heads


async def connected_to(service: Service, listener: str = "http") -> socket.socket:
    return await connected(service.address_of(listener))
