"""A jump server that alone resolves the targets' names, and a bridge to it, in a thread.

For tests of blocking programs. The resolver of this machine does not know the names, so an answer
by such a name came through the jump server.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from netjumper.addressing.address import Address
from netjumper.net.connector import AllowAll
from netjumper.net.resolver import Resolver
from netjumper.server.clients import single_secret
from netjumper.server.jump_server import jump_server
from netjumper.sessions.service import Service
from tests.support.peers import eventually
from tests.support.services import LOOPBACK, SECRET, bridge_through

Names = Mapping[tuple[str, int], tuple[str, int]]
"""The real address and port of each target, by its name and port."""


@dataclass
class RemoteNetwork:
    """The addresses of all listeners, and the targets that the jump server has dialled."""

    jump: str
    socks: str
    http: str
    dialled: list[str] = field(default_factory=list)


@contextlib.contextmanager
def remote_network(names: Names, secret: bytes = SECRET) -> Iterator[RemoteNetwork]:
    """Run a jump server that resolves `names`, and a bridge to it."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_serving(names, secret)) as end,
    ):
        yield end


@contextlib.contextmanager
def bridge_to(jump: Address) -> Iterator[RemoteNetwork]:
    """Run a bridge to the jump host at an address."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_bridging(jump, SECRET)) as end,
    ):
        yield end


class _TargetRecorder(AllowAll):
    """Allows all targets and records them."""

    def __init__(self) -> None:
        self.dialled: list[str] = []

    def check_address(self, target: Address, ip: str) -> None:
        self.dialled.append(str(target))


@contextlib.asynccontextmanager
async def _serving(names: Names, secret: bytes) -> AsyncIterator[RemoteNetwork]:
    recorder = _TargetRecorder()

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if (host, port) not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", names[host, port])]

    server = jump_server(
        listen=[LOOPBACK],
        clients=single_secret(secret, recorder),
        resolver=Resolver(asyncio.get_running_loop(), look_up),
    )
    async with server:
        async with _bridging(Address.parse(server.address_of("netjumper")), secret) as end:
            end.dialled = recorder.dialled
            yield end
        await _wait_for_sessions(server)


@contextlib.asynccontextmanager
async def _bridging(jump: Address, secret: bytes) -> AsyncIterator[RemoteNetwork]:
    async with bridge_through(jump, secret=secret) as service:
        yield RemoteNetwork(str(jump), service.address_of("socks"), service.address_of("http"))
        await _wait_for_sessions(service)


async def _wait_for_sessions(service: Service) -> None:
    """Give sessions that clients have closed a short time to end."""
    with contextlib.suppress(TimeoutError):
        await eventually(lambda: len(service.sessions) == 0, within=0.1)


def forbid_name_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each lookup of a name in this process fail; addresses of loopback are allowed."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        assert name in {"127.0.0.1", None}, f"{name} was looked up by this process"
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
