"""A client of a bridge: SOCKS, HTTP CONNECT, and requests that the bridge forwards."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

import h11

from soak.plan import Course, Plan, random_plan
from soak.reporting import Reporter
from soak.streams import (
    READ_SIZE,
    Reader,
    WrongError,
    check_all,
    check_reset,
    connected,
    end,
    reading,
    reset,
    send_pieces,
)

MAX_BODY_BYTES = 400_000
"""Size of an HTTP body; h11 is too slow for more."""


class RefusedError(Exception):
    """The bridge refused a tunnel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports that a client uses, all on 127.0.0.1.

    Attributes:
        socks: the SOCKS listener of a bridge.
        http: the HTTP listener of that bridge.
        target: reads a plan from each connection.
        web: serves HTTP.
        closed: refuses connections.
    """

    socks: int
    http: int
    target: int
    web: int
    closed: int


class Client:
    """A client that connects through one bridge, again and again.

    Args:
        ports: that it connects to.
        max_bytes: maximum that one tunnel moves in a direction.
        reporter: counts successes and reports failures.
    """

    def __init__(self, ports: Ports, max_bytes: int, reporter: Reporter) -> None:
        self._ports = ports
        self._max_bytes = max_bytes
        self._reporter = reporter
        self._rng = random.Random()

    async def run(self) -> None:
        """Make one connection after another, for ever."""
        while True:
            behaviours: list[Callable[[], Awaitable[None]]] = [
                self._tunnelled, self._forwarded, self._refused,
            ]  # fmt: skip
            behaviour = self._rng.choices(behaviours, [12, 4, 1])[0]
            succeeded = await self._reporter.watch(behaviour.__name__.strip("_"), behaviour)
            await asyncio.sleep(self._rng.expovariate(10 if succeeded else 1))

    def _count(self, what: str, byte_count: int) -> None:
        self._reporter.counts[what] += 1
        self._reporter.counts["bytes"] += byte_count

    async def _tunnelled(self) -> None:
        plan = random_plan(self._rng, self._max_bytes)
        ask, port = self._random_bridge_listener()
        async with connected("127.0.0.1", port) as sock:
            await ask(sock, self._ports.target)
            await asyncio.get_running_loop().sock_sendall(sock, plan.line())
            self._count(plan.course.name.lower(), await _carry_out(sock, plan))

    async def _refused(self) -> None:
        """Ask for a closed port: the bridge must refuse, or reset a tunnel opened early."""
        ask, port = self._random_bridge_listener()
        async with connected("127.0.0.1", port) as sock:
            try:
                await ask(sock, self._ports.closed)
                if await asyncio.get_running_loop().sock_recv(sock, 1) == b"":
                    raise WrongError("an end of stream from a target that does not listen")
            except (RefusedError, ConnectionResetError):
                self._count("refused", 0)

    def _random_bridge_listener(
        self,
    ) -> tuple[Callable[[socket.socket, int], Awaitable[None]], int]:
        ports = self._ports
        return self._rng.choice(
            [(ask_by_address, ports.socks), (ask_by_name, ports.socks), (ask_http, ports.http)]
        )

    async def _forwarded(self) -> None:
        async with connected("127.0.0.1", self._ports.http) as sock:
            http = h11.Connection(h11.CLIENT)
            for index in range(self._rng.randint(1, 4)):
                plan = random_plan(self._rng, MAX_BODY_BYTES)
                if plan.course is not Course.TARGET_RESETS or plan.down < 2:
                    plan = replace(plan, course=Course.ANSWER)
                if self._rng.random() < 0.5:
                    plan = replace(plan, up=0)
                count = await self._request(sock, http, plan, kept=index > 0)
                self._count("forwarded", plan.up + count)
                if not (http.our_state is h11.DONE and http.their_state is h11.DONE):
                    return
                http.start_next_cycle()

    async def _request(
        self, sock: socket.socket, http: h11.Connection, plan: Plan, *, kept: bool
    ) -> int:
        """Send a request, check its answer, and return the size of the answer's body."""
        loop = asyncio.get_running_loop()
        host = f"127.0.0.1:{self._ports.web}"
        head = h11.Request(
            method="POST" if plan.up else "GET",
            target=f"http://{host}/{plan.line().hex()}",
            headers=[("host", host)] + [("content-length", str(plan.up))] * (plan.up > 0),
        )
        await loop.sock_sendall(sock, http.send(head))
        for data, pause in plan.pieces("up", plan.up):
            await loop.sock_sendall(sock, http.send(h11.Data(data=data)))
            await asyncio.sleep(pause)
        if rest := http.send(h11.EndOfMessage()):
            await loop.sock_sendall(sock, rest)
        read = _answer(sock, http, kept=kept)
        if plan.course is Course.TARGET_RESETS:
            return await check_reset(read, plan, "down", plan.down // 2)
        return await check_all(read, plan, "down", plan.down)


async def _carry_out(sock: socket.socket, plan: Plan) -> int:
    """Execute the client's half of a plan and return how many bytes it moved."""
    send = partial(send_pieces, sock, plan, "up")
    check = partial(check_all, reading(sock), plan, "down", plan.down)
    if plan.course is Course.CLIENT_RESETS:
        await send(plan.up // 2)
        reset(sock)
        return plan.up // 2
    if plan.course is Course.TARGET_RESETS:
        return await check_reset(reading(sock), plan, "down", plan.down // 2)
    if plan.course is Course.TARGET_FIRST:
        await check()
        await send(plan.up)
        end(sock)
    elif plan.course is Course.ANSWER:
        await send(plan.up)
        end(sock)
        await check()
    else:
        await asyncio.gather(check(), _send_and_end(sock, plan))
    return plan.up + plan.down


async def _send_and_end(sock: socket.socket, plan: Plan) -> None:
    await send_pieces(sock, plan, "up", plan.up)
    end(sock)


def _answer(sock: socket.socket, http: h11.Connection, *, kept: bool) -> Reader:
    """Return a reader of an answer's body.

    It takes another status than 200 for a reset, and so it does if a `kept` connection, which had
    a request before, ends without an answer: that leaves a retry to the client.
    """

    async def read() -> bytes:
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await asyncio.get_running_loop().sock_recv(sock, READ_SIZE)
                is_unanswered = http.their_state is h11.SEND_RESPONSE and not http.trailing_data[0]
                if kept and is_unanswered and not data:
                    raise ConnectionResetError("a kept connection ended without an answer")
                try:
                    http.receive_data(data)
                    if not data:
                        event = http.next_event()
                except h11.RemoteProtocolError as error:
                    raise WrongError(f"an end of stream within an answer: {error}") from None
            if isinstance(event, h11.Response) and event.status_code != 200:
                raise ConnectionResetError(f"status {event.status_code}")
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                return b""

    return read


async def ask_by_address(sock: socket.socket, port: int) -> None:
    """Request a tunnel to a port of 127.0.0.1 by SOCKS5 (RFC 1928)."""
    await _ask_socks(sock, b"\1\x7f\0\0\1", port)


async def ask_by_name(sock: socket.socket, port: int) -> None:
    """Request a tunnel to a port of localhost by SOCKS5 (RFC 1928)."""
    await _ask_socks(sock, b"\3\x09localhost", port)


async def _ask_socks(sock: socket.socket, host: bytes, port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, b"\5\1\0" + b"\5\1\0" + host + port.to_bytes(2))
    answer = await _receive(sock, 12)
    if answer[:4] != b"\5\0\5\0":
        raise RefusedError(f"SOCKS answer {answer.hex()}")


async def ask_http(sock: socket.socket, port: int) -> None:
    """Request a tunnel to a port of 127.0.0.1 by HTTP CONNECT."""
    target = b"127.0.0.1:%d" % port
    request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)
    await asyncio.get_running_loop().sock_sendall(sock, request)
    answer = b""
    while not answer.endswith(b"\r\n\r\n") and (data := await _receive(sock, 1)):
        answer += data
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RefusedError(f"HTTP answer {answer[:32]!r}")


async def _receive(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (
        more := await asyncio.get_running_loop().sock_recv(sock, count - len(data))
    ):
        data += more
    return data
