"""Bridges without a jump server: one that leads straight to targets, one that leads nowhere."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from netjumper.addressing.address import Address
from netjumper.bridge.bridge import bridge
from netjumper.errors import TargetRefused
from netjumper.net.connector import Connector, Failed, Opened
from netjumper.net.dialer import Dialer
from netjumper.sessions.service import Service
from tests.support.services import LOOPBACK, started


class RefusingConnector:
    """Leads nowhere, and keeps where it should have led."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connect(self, target: Address, opened: Opened, failed: Failed) -> NoReturn:
        """Fail at once."""
        self.asked.append(str(target))
        raise TargetRefused("there is no way to anywhere")


@contextlib.asynccontextmanager
async def direct_bridge(
    upstream: Connector | None = None, **options: Any
) -> AsyncIterator[Service]:
    """A bridge with a door of each kind; without `upstream` it dials targets itself."""
    leads = upstream or Dialer(asyncio.get_running_loop(), timeout=5.0)
    doors = {"socks": [LOOPBACK], "http": [LOOPBACK], "mixed": [LOOPBACK]}
    async with started(bridge(upstream=leads, **doors, **options)) as service:
        yield service
