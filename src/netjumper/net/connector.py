"""Interfaces: what opens a connection to a target, and what decides about targets."""

from collections.abc import Callable
from typing import Protocol

from netjumper.addressing.address import Address
from netjumper.errors import NetjumperError
from netjumper.net.endpoint import Endpoint

Opened = Callable[[Endpoint], None]
Failed = Callable[[NetjumperError], None]
IsOwnListener = Callable[[str, int], bool]
"""Returns whether this process listens there itself, given an IP address and a port."""


class PendingConnection(Protocol):
    """A connection that is being opened."""

    @property
    def optimistic(self) -> bool:
        """Whether success is so likely that the client can be told of it already."""

    @property
    def early_data_budget(self) -> int:
        """How many bytes can be sent before the target is known to be reached."""

    def send_early(self, data: bytes) -> None:
        """Send such bytes, at most `early_data_budget`."""

    def cancel(self) -> None:
        """Give up; neither callback is called any more."""


class TargetFilter(Protocol):
    """Decides which targets are dialled; the guard is one."""

    def check_target(self, target: Address) -> None:
        """Raise `TargetDenied` if a target is refused, before its name is looked up."""

    def check_address(self, target: Address, ip: str) -> None:
        """Raise `TargetDenied` if an address of a target is refused, before it is dialled."""


class Connector(Protocol):
    """Opens connections to targets: by a dial, or through a jump host."""

    def connect(self, target: Address, opened: Opened, failed: Failed) -> PendingConnection:
        """Begin to connect; one of the callbacks is called later, never before this returns."""


class AllowAll:
    """Refuses nothing."""

    def check_target(self, target: Address) -> None:
        """Accept any target."""

    def check_address(self, target: Address, ip: str) -> None:
        """Accept any address."""
