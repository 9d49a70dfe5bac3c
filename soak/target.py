"""The target of the clients: executes the plan of each connection and checks what it receives."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from functools import partial

import h11

from soak.plan import Course, Plan
from soak.reporting import Reporter
from soak.streams import (
    READ_SIZE,
    Reader,
    check_all,
    check_reset,
    closing,
    end,
    reading,
    receive_line,
    reset,
    send_pieces,
)

Behaviour = Callable[[socket.socket], Awaitable[None]]


async def serve(tunnels: socket.socket, web: socket.socket, reporter: Reporter) -> None:
    """Serve for ever.

    Args:
        tunnels: listener for connections whose first line is a plan.
        web: listener for HTTP requests whose path is a plan.
        reporter: reports failures.
    """
    await asyncio.gather(_accept(tunnels, _tunnelled, reporter), _accept(web, _forwarded, reporter))


async def _accept(listener: socket.socket, behaviour: Behaviour, reporter: Reporter) -> None:
    loop = asyncio.get_running_loop()
    busy: set[asyncio.Task[bool]] = set()
    while True:
        sock, _ = await loop.sock_accept(listener)
        task = asyncio.create_task(reporter.watch("target", partial(_run, sock, behaviour)))
        busy.add(task)
        task.add_done_callback(busy.discard)


async def _run(sock: socket.socket, behaviour: Behaviour) -> None:
    with (
        contextlib.suppress(ConnectionError),
        closing(sock),
    ):  # the client reports a lost connection
        await behaviour(sock)


async def _tunnelled(sock: socket.socket) -> None:
    plan = Plan.parse(await receive_line(sock))
    send = partial(send_pieces, sock, plan, "down")
    check = partial(check_all, reading(sock), plan, "up", plan.up)
    if plan.course is Course.ANSWER:
        await check()
        await send(plan.down)
    elif plan.course is Course.TOGETHER:
        await asyncio.gather(check(), _send_and_end(sock, plan))
    elif plan.course is Course.TARGET_FIRST:
        await _send_and_end(sock, plan)
        await check()
    elif plan.course is Course.TARGET_RESETS:
        await send(plan.down // 2)
        reset(sock)
    else:
        await check_reset(reading(sock), plan, "up", plan.up // 2)


async def _send_and_end(sock: socket.socket, plan: Plan) -> None:
    await send_pieces(sock, plan, "down", plan.down)
    end(sock)


async def _forwarded(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    http = h11.Connection(h11.SERVER)
    while True:
        plan, read = await _request(sock, http)
        await check_all(read, plan, "up", plan.up)
        resets = plan.course is Course.TARGET_RESETS
        headers = [("content-length", str(plan.down))] if plan.seed % 3 else []
        if plan.seed % 4 == 0:
            headers.append(("connection", "close"))
        await loop.sock_sendall(sock, http.send(h11.Response(status_code=200, headers=headers)))
        for data, pause in plan.pieces("down", plan.down // 2 if resets else plan.down):
            await loop.sock_sendall(sock, http.send(h11.Data(data=data)))
            await asyncio.sleep(pause)
        if resets:
            reset(sock)
            return
        await loop.sock_sendall(sock, http.send(h11.EndOfMessage()))
        if h11.MUST_CLOSE in (http.our_state, http.their_state):
            return
        http.start_next_cycle()


async def _request(sock: socket.socket, http: h11.Connection) -> tuple[Plan, Reader]:
    """Return the plan of the next request, and a reader of its body."""
    loop = asyncio.get_running_loop()

    async def event() -> object:
        while (found := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await loop.sock_recv(sock, READ_SIZE))
        return found

    async def read() -> bytes:
        try:
            found = await event()
        except h11.RemoteProtocolError as error:  # the stream was truncated
            raise ConnectionAbortedError(str(error)) from None
        return bytes(found.data) if isinstance(found, h11.Data) else b""

    request = await event()
    if not isinstance(request, h11.Request):
        raise ConnectionAbortedError("no further request")
    return Plan.parse(bytes.fromhex(request.target.decode().rpartition("/")[2])), read
