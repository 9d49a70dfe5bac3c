"""A jump server in a thread of its own that alone knows the targets' names, and a bridge to it.

For tests that drive blocking programs: the names mean nothing to this machine's own resolver,
so an answer by such a name came through the jump server.
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
"""From a target's name and port to the address and port where it really is."""


@dataclass
class RemoteNetwork:
    """Where everything listens, and the targets that the jump server has dialled."""

    jump: str
    socks: str
    http: str
    dialled: list[str] = field(default_factory=list)


@contextlib.contextmanager
def remote_network(names: Names, secret: bytes = SECRET) -> Iterator[RemoteNetwork]:
    """Run a jump server that knows `names`, and a bridge for it."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_serving(names, secret)) as end,
    ):
        yield end


@contextlib.contextmanager
def bridge_to(jump: Address) -> Iterator[RemoteNetwork]:
    """Run a bridge whose jump host is whatever is at that address."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_bridging(jump, SECRET)) as end,
    ):
        yield end


class _Note(AllowAll):
    """Notes what would be dialled."""

    def __init__(self) -> None:
        self.dialled: list[str] = []

    def check_address(self, target: Address, ip: str) -> None:
        self.dialled.append(str(target))


@contextlib.asynccontextmanager
async def _serving(names: Names, secret: bytes) -> AsyncIterator[RemoteNetwork]:
    note = _Note()

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if (host, port) not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", names[host, port])]

    server = jump_server(
        listen=[LOOPBACK],
        clients=single_secret(secret, note),
        resolver=Resolver(asyncio.get_running_loop(), look_up),
    )
    async with server:
        async with _bridging(Address.parse(server.address_of("netjumper")), secret) as end:
            end.dialled = note.dialled
            yield end
        await _let_go(server)


@contextlib.asynccontextmanager
async def _bridging(jump: Address, secret: bytes) -> AsyncIterator[RemoteNetwork]:
    async with bridge_through(jump, secret=secret) as service:
        yield RemoteNetwork(str(jump), service.address_of("socks"), service.address_of("http"))
        await _let_go(service)


async def _let_go(service: Service) -> None:
    """Give what the clients have closed the time to end; what is cut off is closed a bit later."""
    with contextlib.suppress(TimeoutError):
        await eventually(lambda: len(service.sessions) == 0, within=0.1)


def only_addresses_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process fail where it looks up a name that is not an address of loopback."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        assert name in {"127.0.0.1", None}, f"{name} was looked up here"
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
