"""What a program asked the bridge for, whichever protocol it asked in."""

from dataclasses import dataclass

from netjumper.address import Address


@dataclass(frozen=True, slots=True)
class TunnelRequest:
    """A tunnel to `target`, asked for by the user `client` (empty where nobody gave a name)."""

    target: Address
    client: str = ""
