"""WebSockets through bridge and jump server, with two clients that use the proxy differently.

aiohttp sends an HTTP proxy a request like that of any page, with an upgrade; `websockets` makes a
CONNECT (RFC 6455 section 4.1). With TLS both use CONNECT. Each reads other variables.
"""

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import trustme
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve

from netjumper import Jumper
from netjumper.cli.proxy_variables import PROXY_VARIABLES, variables
from tests.support.peers import closed_port
from tests.support.remote_network import RemoteNetwork, forbid_name_lookups, remote_network
from tests.support.servers import serving_context, trusting_context
from tests.support.services import SECRET

HOST = "target.example"
BIG = 3_000_000
"""Bytes; a frame that no single read or write moves."""


@dataclass
class Route:
    """A WebSocket's URL, its proxy, and what its server received."""

    end: RemoteNetwork
    proxy: str
    url: str
    context: ssl.SSLContext | None
    received: asyncio.Queue[object]

    @property
    def target(self) -> str:
        return f"{HOST}:{443 if self.context else 80}"


@pytest.fixture(params=["ws", "wss"])
async def route(
    request: pytest.FixtureRequest, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Route]:
    """Serve WebSockets by a name that only the jump server can look up."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    forbid_name_lookups(monkeypatch)
    serving = trusting = None
    if request.param == "wss":
        serving, trusting = serving_context(authority, HOST), trusting_context(authority)
    received: asyncio.Queue[object] = asyncio.Queue()

    async def talk(socket: ServerConnection) -> None:
        await received.put(socket.request.headers.get("Via"))
        await socket.send("the server speaks first")
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                message = await socket.recv()
                if message == "end":
                    await socket.close(4001, "as you wish")
                elif message == "ping":
                    await received.put(await (await socket.ping(b"are you there?")))
                else:
                    await socket.send(message)
        await received.put((socket.close_code, socket.close_reason))

    async with serve(talk, "127.0.0.1", 0, ssl=serving, max_size=None) as server:
        names = {(HOST, 443 if trusting else 80): server.sockets[0].getsockname()}
        with remote_network(names) as end:
            yield Route(end, f"http://{end.http}", f"{request.param}://{HOST}/", trusting, received)


@pytest.fixture(params=["as an argument", "by the environment"])
def as_argument(
    request: pytest.FixtureRequest, route: Route, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Whether the client gets the proxy as an argument; otherwise the environment has it."""
    if request.param == "as an argument":
        return True
    for name, value in variables(route.end.http, "").items():
        monkeypatch.setenv(name, value)
    return False


async def converse(socket: ClientConnection) -> None:
    assert await socket.recv() == "the server speaks first"
    for message in ("grüß Gott", b"\0\1\2\xff", "", bytes(BIG), "x" * BIG):
        await socket.send(message)
        assert await socket.recv() == message
    for number in range(100):
        await socket.send(str(number))
    assert [await socket.recv() for _ in range(100)] == [str(number) for number in range(100)]
    assert await (await socket.ping(b"hello")) >= 0


class TestWebsockets:
    async def test_all_messages_go_both_ways(self, route: Route, as_argument: bool) -> None:
        proxy = route.proxy if as_argument else True
        async with websockets.connect(
            route.url, proxy=proxy, ssl=route.context, max_size=None
        ) as socket:
            await converse(socket)
            await socket.close(4242, "that was all")

        assert await route.received.get() is None, "a CONNECT has no Via"
        assert await route.received.get() == (4242, "that was all")
        assert route.end.dialled == [route.target]

    async def test_ping_is_answered_and_close_code_arrives(self, route: Route) -> None:
        async with websockets.connect(route.url, proxy=route.proxy, ssl=route.context) as socket:
            assert await socket.recv() == "the server speaks first"
            await socket.send("ping")
            await socket.send("end")
            with pytest.raises(websockets.ConnectionClosedError):
                await socket.recv()

        await route.received.get()
        assert isinstance(await route.received.get(), float), "a round trip in seconds"
        assert (socket.close_code, socket.close_reason) == (4001, "as you wish")

    async def test_library_tunnel_needs_no_bridge(self, route: Route) -> None:
        sock = await asyncio.to_thread(Jumper(route.end.jump, SECRET).connect, route.target)
        async with websockets.connect(
            route.url, sock=sock, ssl=route.context, max_size=None
        ) as socket:
            await converse(socket)

    async def test_refusing_target_is_reported(self, route: Route) -> None:
        url = f"{route.url.partition(':')[0]}://{closed_port()}/"
        with pytest.raises(websockets.InvalidProxyStatus, match="HTTP 502"):
            await websockets.connect(url, proxy=route.proxy, ssl=route.context)


class TestAiohttp:
    async def test_all_messages_go_both_ways(self, route: Route, as_argument: bool) -> None:
        proxy = route.proxy if as_argument else None
        async with (
            aiohttp.ClientSession(trust_env=not as_argument) as session,
            session.ws_connect(
                route.url, proxy=proxy, ssl=route.context or True, max_msg_size=0
            ) as ws,
        ):
            assert await ws.receive_str() == "the server speaks first"
            for text in ("grüß Gott", "", "x" * BIG):
                await ws.send_str(text)
                assert await ws.receive_str() == text
            for data in (b"\0\1\2\xff", bytes(BIG)):
                await ws.send_bytes(data)
                assert hashlib.sha256(await ws.receive_bytes()).digest() == (
                    hashlib.sha256(data).digest()
                )
            await ws.close(code=4242, message=b"that was all")

        via = await route.received.get()
        if route.context is None:
            assert str(via).startswith("1.1 netjumper-bridge")
        else:
            assert via is None
        assert await route.received.get() == (4242, "that was all")
        assert route.end.dialled == [route.target]

    async def test_ping_is_answered_and_close_code_arrives(self, route: Route) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(route.url, proxy=route.proxy, ssl=route.context or True) as ws,
        ):
            await ws.receive_str()
            await ws.send_str("ping")
            await ws.send_str("end")
            closed = await ws.receive()

        await route.received.get()
        assert isinstance(await route.received.get(), float), "a round trip in seconds"
        assert (closed.type, closed.data, closed.extra) == (
            aiohttp.WSMsgType.CLOSE,
            4001,
            "as you wish",
        )

    async def test_refusing_target_is_reported(self, route: Route) -> None:
        url = f"{route.url.partition(':')[0]}://{closed_port()}/"
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                await session.ws_connect(url, proxy=route.proxy, ssl=route.context or True)

        assert caught.value.status == 502
