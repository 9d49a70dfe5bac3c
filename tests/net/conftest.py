"""One end of a tunnel."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from netjumper.net.endpoint import Endpoint
from tests.support.peers import no_descriptor_leaks, tcp_pair


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Endpoint, socket.socket]]:
    """An endpoint, and the socket at its other end."""
    async with no_descriptor_leaks():
        ours, theirs = tcp_pair()
        endpoint = Endpoint(asyncio.get_running_loop(), ours)
        yield endpoint, theirs
        endpoint.close()
        theirs.close()
