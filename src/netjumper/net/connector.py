"""What leads to a target, as those see it who use it: interfaces, and no implementation."""

from collections.abc import Callable
from typing import Protocol

from netjumper.addressing.address import Address
from netjumper.errors import NetjumperError
from netjumper.net.endpoint import Endpoint

Opened = Callable[[Endpoint], None]
Failed = Callable[[NetjumperError], None]
IsOwnListener = Callable[[str, int], bool]
"""Given an IP address and a port: whether we listen there ourselves."""


class PendingConnection(Protocol):
    """A connection on its way."""

    @property
    def optimistic(self) -> bool:
        """Whether it is as good as certain: who waits for it may be told that it stands."""

    @property
    def early_data_budget(self) -> int:
        """How many bytes can be sent to the target before it is known to be reached."""

    def send_early(self, data: bytes) -> None:
        """Send such bytes; no more than there is room for."""

    def cancel(self) -> None:
        """Give it up: neither callback is called any more."""


class TargetFilter(Protocol):
    """Decides which targets may be dialled: a guard."""

    def check_target(self, target: Address) -> None:
        """Raise what forbids a target, before its name is looked up."""

    def check_address(self, target: Address, ip: str) -> None:
        """Raise what forbids an IP address of a target, before it is dialled."""


class Connector(Protocol):
    """Whatever leads to a target: a dial, or a jump host with a dial behind it."""

    def connect(self, target: Address, opened: Opened, failed: Failed) -> PendingConnection:
        """Begin; one of the callbacks is called later, never before this returns."""


class AllowAll:
    """Forbids nothing."""

    def check_target(self, target: Address) -> None:
        """Let any target pass."""

    def check_address(self, target: Address, ip: str) -> None:
        """Let any address pass."""
