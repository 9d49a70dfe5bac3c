"""A running jump server."""

from collections.abc import AsyncIterator

import pytest

from netjumper.addressing.address import Address
from netjumper.sessions.service import Service
from tests.support.services import jump_server_running


@pytest.fixture
async def server() -> AsyncIterator[tuple[Service, Address]]:
    async with jump_server_running() as running:
        yield running
