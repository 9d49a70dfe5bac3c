"""Connections to a jump server that fail, in every known way."""

import asyncio
import hashlib
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping

from soak.streams import reset
from soak.topology import SECRET

CONCURRENCY = 400
SOURCES = 500
"""Number of client addresses in 127.0.0.0/8."""

Failure = Callable[[socket.socket, int], Awaitable[None]]
"""Takes a new connection, and a port of 127.0.0.1 without a listener."""


async def _close(_: socket.socket, __: int) -> None:
    """Send nothing; the caller closes the connection."""


async def _reset(sock: socket.socket, _: int) -> None:
    reset(sock)


async def _silence(sock: socket.socket, _: int) -> None:
    await _read_to_end(sock)


async def _garbage(sock: socket.socket, _: int) -> None:
    await _send(sock, random.randbytes(200))
    await _read_to_end(sock)


async def _wrong_secret(sock: socket.socket, _: int) -> None:
    await _send(sock, b"\x14" + bytes(20))
    await _read_to_end(sock)


async def _partial_answer(sock: socket.socket, _: int) -> None:
    await _send(sock, (await _answer(sock))[:10])


async def _reset_in_answer(sock: socket.socket, _: int) -> None:
    await _send(sock, (await _answer(sock))[:10])
    reset(sock)


async def _missing_target(sock: socket.socket, _: int) -> None:
    await _send(sock, await _answer(sock))
    await asyncio.get_running_loop().sock_recv(sock, 1)


async def _reset_while_parked(sock: socket.socket, port: int) -> None:
    await _missing_target(sock, port)
    reset(sock)


async def _partial_target(sock: socket.socket, _: int) -> None:
    await _send(sock, await _answer(sock) + b"\x20" + b"half")


async def _invalid_target(sock: socket.socket, _: int) -> None:
    await _ask(sock, b"no port")
    await _read_to_end(sock)


async def _denied(sock: socket.socket, _: int) -> None:
    await _ask(sock, b"10.1.2.3:80")
    await _read_to_end(sock)


async def _refused(sock: socket.socket, port: int) -> None:
    await _ask(sock, b"127.0.0.1:%d" % port)
    await _read_to_end(sock)


async def _reset_while_dialling(sock: socket.socket, port: int) -> None:
    await _ask(sock, b"127.0.0.1:%d" % port)
    reset(sock)


async def _cut_hello(sock: socket.socket, _: int) -> None:
    hello = _client_hello()
    await _send(sock, hello[: random.randrange(1, len(hello))])


async def _partial_hello(sock: socket.socket, _: int) -> None:
    hello = _client_hello()
    await _send(sock, hello[: len(hello) // 2])
    reset(sock)


async def _cut_tls(sock: socket.socket, _: int) -> None:
    await _send(sock, _client_hello())
    await asyncio.get_running_loop().sock_recv(sock, 100)
    reset(sock)


IN_THE_CLEAR = (
    _close, _reset, _silence, _garbage, _wrong_secret, _partial_answer, _reset_in_answer,
    _missing_target, _reset_while_parked, _partial_target, _invalid_target, _denied,
    _refused, _reset_while_dialling,
)  # fmt: skip
WITH_TLS = (_close, _reset, _silence, _garbage, _cut_hello, _partial_hello, _cut_tls)
FAILURES: tuple[tuple[str, Failure], ...] = (
    *(("clear", it) for it in IN_THE_CLEAR),
    *(("tls", it) for it in WITH_TLS),
)
"""Each failure, after the listener that it is for."""


async def fail(ports: Mapping[str, int], count: int) -> int:
    """Make `count` connections which all fail.

    Args:
        ports: of 127.0.0.1: the listeners `clear` and `tls`, and `closed`, which has none.
        count: number of connections.

    Returns:
        How many of them the server reset, as it does with banned sources.
    """
    numbers = iter(range(count))
    reset_count = 0

    async def worker() -> None:
        nonlocal reset_count
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
                    reset_count += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(worker())
    return reset_count


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


async def _read_to_end(sock: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(sock, 1024):
        pass
