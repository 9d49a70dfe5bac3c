"""A bridge without a jump server, and a connector that refuses all targets."""

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
from tests.support.services import LOOPBACK, running_service


class RefusingConnector:
    """Refuses all targets and records them."""

    def __init__(self) -> None:
        self.targets: list[str] = []

    def connect(self, target: Address, opened: Opened, failed: Failed) -> NoReturn:
        """Refuse the target immediately."""
        self.targets.append(str(target))
        raise TargetRefused("no target is reachable")


@contextlib.asynccontextmanager
async def direct_bridge(
    upstream: Connector | None = None, **options: Any
) -> AsyncIterator[Service]:
    """Run a bridge with a listener of each kind; without `upstream` it dials targets itself."""
    connector = upstream or Dialer(asyncio.get_running_loop(), timeout=5.0)
    listeners = {"socks": [LOOPBACK], "http": [LOOPBACK], "mixed": [LOOPBACK]}
    async with running_service(bridge(upstream=connector, **listeners, **options)) as service:
        yield service
