"""Connections to a jump server that fail, in every way that there is."""

import asyncio
import hashlib
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping

from soak.streams import reset
from soak.topology import SECRET

AT_ONCE = 400
SOURCES = 500
"""Addresses of 127.0.0.0/8 that they come from."""

Failure = Callable[[socket.socket, int], Awaitable[None]]
"""Is called with a connection, and a port of 127.0.0.1 without a listener."""


async def _close(_: socket.socket, __: int) -> None:
    """Say nothing, and go."""


async def _reset(sock: socket.socket, _: int) -> None:
    reset(sock)


async def _silence(sock: socket.socket, _: int) -> None:
    await _to_the_end(sock)


async def _garbage(sock: socket.socket, _: int) -> None:
    await _send(sock, random.randbytes(200))
    await _to_the_end(sock)


async def _wrong_secret(sock: socket.socket, _: int) -> None:
    await _send(sock, b"\x14" + bytes(20))
    await _to_the_end(sock)


async def _half_an_answer(sock: socket.socket, _: int) -> None:
    await _send(sock, (await _answer(sock))[:10])


async def _reset_within_the_answer(sock: socket.socket, _: int) -> None:
    await _send(sock, (await _answer(sock))[:10])
    reset(sock)


async def _no_destination(sock: socket.socket, _: int) -> None:
    await _send(sock, await _answer(sock))
    await asyncio.get_running_loop().sock_recv(sock, 1)


async def _reset_while_parked(sock: socket.socket, port: int) -> None:
    await _no_destination(sock, port)
    reset(sock)


async def _half_a_destination(sock: socket.socket, _: int) -> None:
    await _send(sock, await _answer(sock) + b"\x20" + b"half")


async def _wrong_destination(sock: socket.socket, _: int) -> None:
    await _ask(sock, b"no port")
    await _to_the_end(sock)


async def _denied(sock: socket.socket, _: int) -> None:
    await _ask(sock, b"10.1.2.3:80")
    await _to_the_end(sock)


async def _refused(sock: socket.socket, port: int) -> None:
    await _ask(sock, b"127.0.0.1:%d" % port)
    await _to_the_end(sock)


async def _reset_while_dialling(sock: socket.socket, port: int) -> None:
    await _ask(sock, b"127.0.0.1:%d" % port)
    reset(sock)


async def _cut_hello(sock: socket.socket, _: int) -> None:
    hello = _client_hello()
    await _send(sock, hello[: random.randrange(1, len(hello))])


async def _half_a_hello(sock: socket.socket, _: int) -> None:
    hello = _client_hello()
    await _send(sock, hello[: len(hello) // 2])
    reset(sock)


async def _cut_tls(sock: socket.socket, _: int) -> None:
    await _send(sock, _client_hello())
    await asyncio.get_running_loop().sock_recv(sock, 100)
    reset(sock)


IN_THE_CLEAR = (
    _close, _reset, _silence, _garbage, _wrong_secret, _half_an_answer, _reset_within_the_answer,
    _no_destination, _reset_while_parked, _half_a_destination, _wrong_destination, _denied,
    _refused, _reset_while_dialling,
)  # fmt: skip
WITH_TLS = (_close, _reset, _silence, _garbage, _cut_hello, _half_a_hello, _cut_tls)
FAILURES: tuple[tuple[str, Failure], ...] = (
    *(("clear", it) for it in IN_THE_CLEAR),
    *(("tls", it) for it in WITH_TLS),
)
"""Each with the listener that it is for."""


async def fail(ports: Mapping[str, int], count: int) -> int:
    """Make so many connections, which all fail.

    Args:
        ports: of 127.0.0.1: `clear`, `tls`, and one that is `closed`.
        count: how many.

    Returns:
        How many of them were ended by the server before they could do anything.
    """
    numbers = iter(range(count))
    ban_time = 0

    async def go_on() -> None:
        nonlocal ban_time
        for number in numbers:
            listener, failure = FAILURES[number % len(FAILURES)]
            with socket.socket() as sock:
                try:
                    sock.setblocking(False)
                    sock.bind((_source(), 0))
                    await asyncio.get_running_loop().sock_connect(
                        sock, ("127.0.0.1", ports[listener])
                    )
                    await failure(sock, ports["closed"])
                except ConnectionError:
                    ban_time += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(go_on())
    return ban_time


def _source() -> str:
    number = random.randrange(SOURCES)
    return f"127.{1 + number % 200}.{number // 200}.1"


def _client_hello() -> bytes:
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="home.example")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError


async def _answer(sock: socket.socket) -> bytes:
    challenge = await asyncio.get_running_loop().sock_recv(sock, 33)
    return b"\x14" + hashlib.sha1(challenge[1:] + SECRET.encode()).digest()  # noqa: S324 - the wire's


async def _ask(sock: socket.socket, target: bytes) -> None:
    await _send(sock, await _answer(sock) + bytes((len(target),)) + target)


async def _send(sock: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def _to_the_end(sock: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(sock, 1024):
        pass
