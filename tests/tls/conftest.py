"""Fixtures: both ends of a TLS connection, and one end beside a plain socket."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from netjumper.tls.endpoint import TlsEndpoint
from tests.support.peers import no_descriptor_leaks, tcp_pair
from tests.support.tls_pair import HOST, any_peer, contexts, tls_pair


@pytest.fixture
async def pair() -> AsyncIterator[tuple[TlsEndpoint, TlsEndpoint]]:
    async with no_descriptor_leaks():
        client, server = await tls_pair(*tcp_pair())
        yield client, server
        client.close()
        server.close()


@pytest.fixture
async def apart() -> AsyncIterator[tuple[TlsEndpoint, socket.socket]]:
    """A client's end, and the plain socket at the other."""
    async with no_descriptor_leaks():
        ours, theirs = tcp_pair()
        trusting, _ = contexts()
        loop = asyncio.get_running_loop()
        end = TlsEndpoint(
            loop, ours, lambda *buffers: trusting.wrap_bio(*buffers, server_hostname=HOST), any_peer
        )
        with theirs:
            yield end, theirs
            end.close()
