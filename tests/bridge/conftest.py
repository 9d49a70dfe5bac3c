"""Fixtures for tests of the bridge."""

from collections.abc import AsyncIterator

import pytest

from netjumper.sessions.service import Service
from tests.support.services import bridge_running, jump_server_running


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A bridge in front of a real jump server."""
    async with jump_server_running() as (_, address), bridge_running(address) as service:
        yield service
