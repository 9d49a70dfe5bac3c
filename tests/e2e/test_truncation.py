"""A FIN on the long path, which an attacker there can send, does not end a tunnel's data."""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from netjumper.addressing.address import Address
from netjumper.tls.context import (
    client_with_authority,
    client_with_pins,
    client_with_secret,
    pin_of,
    server_with_certificate,
    server_with_secrets,
)
from tests.support.peers import (
    connected,
    receive,
    receive_exactly,
    receive_to_reset,
    send,
    serving,
)
from tests.support.services import SECRET, bridge_running
from tests.support.tls_pair import HOST, Sides, authority, tls_jump_server

PROOFS = ["secret", "pin", "authority", "client certificate"]
HALF = b"half of it"


@pytest.fixture(params=PROOFS)
def sides(request: pytest.FixtureRequest, ssl_defaults: None, tmp_path: Path) -> Sides:
    if request.param == "secret":
        if sys.version_info < (3, 13):
            pytest.skip("Python has it since 3.13")
        return client_with_secret(SECRET), server_with_secrets([("", SECRET)])
    own, trusted, client = (tmp_path / it for it in ("own.pem", "authority.pem", "client.pem"))
    issued = authority().issue_cert(HOST)
    issued.private_key_and_cert_chain_pem.write_to_path(own)
    authority().cert_pem.write_to_path(trusted)
    if request.param == "pin":
        der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
        return client_with_pins([pin_of(der)]), server_with_certificate(own)
    if request.param == "authority":
        return client_with_authority(HOST, trusted), server_with_certificate(own)
    authority().issue_cert("alice").private_key_and_cert_chain_pem.write_to_path(client)
    return client_with_authority(HOST, trusted, client), server_with_certificate(own, trusted)


class Forwarder:
    """Forwards bytes between bridge and jump server, and can end a direction by itself."""

    def __init__(self, jump: Address) -> None:
        self._jump = jump
        self.to_bridge: socket.socket
        self.to_server: socket.socket

    async def forward(self, near: socket.socket) -> None:
        with await connected(self._jump) as far:
            self.to_bridge, self.to_server = near, far
            await asyncio.gather(_forward_direction(near, far), _forward_direction(far, near))


async def _forward_direction(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := await receive(source):
            await send(sink, data)
        sink.shutdown(socket.SHUT_WR)


class Target:
    """Echoes once, and then waits for a reset."""

    def __init__(self) -> None:
        self.has_ended = asyncio.Event()

    async def answer(self, sock: socket.socket) -> None:
        await send(sock, await receive(sock))
        try:
            await receive_to_reset(sock)  # a clean end fails the test
        finally:
            self.has_ended.set()


@contextlib.asynccontextmanager
async def tunnel(sides: Sides) -> AsyncIterator[tuple[Forwarder, socket.socket, Target]]:
    """Yield the forwarder of a tunnel that has carried data, its client and its target."""
    async with tls_jump_server(sides) as jump:
        forwarder, target = Forwarder(jump), Target()
        async with (
            serving(target.answer) as peer,
            serving(forwarder.forward) as path,
            bridge_running(path.address, encryption=sides[0]) as bridge,
        ):
            with await connected(bridge.address_of("http")) as client:
                await send(client, f"CONNECT {peer.address} HTTP/1.0\r\n\r\n".encode())
                assert (await receive(client)).startswith(b"HTTP/1.1 200 ")
                await send(client, HALF)
                assert await receive_exactly(client, len(HALF)) == HALF
                yield forwarder, client, target


async def test_fin_to_the_bridge_resets_the_client(sides: Sides) -> None:
    async with tunnel(sides) as (forwarder, client, target):
        forwarder.to_bridge.shutdown(socket.SHUT_WR)
        assert await receive_to_reset(client) == b""
        await target.has_ended.wait()


async def test_fin_to_the_jump_server_resets_the_target(sides: Sides) -> None:
    async with tunnel(sides) as (forwarder, client, target):
        forwarder.to_server.shutdown(socket.SHUT_WR)
        await target.has_ended.wait()
        assert await receive_to_reset(client) == b""
