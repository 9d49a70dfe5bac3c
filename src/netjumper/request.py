"""What a listening handshake comes to, whichever protocol it was spoken in."""

from dataclasses import dataclass

from netjumper.addressing.address import Address


@dataclass(frozen=True, slots=True)
class TunnelRequest:
    """A tunnel to `target`, asked for by `client`.

    Attributes:
        target: where it is to lead.
        client: the name that the client proved, empty where there are none.
    """

    target: Address
    client: str = ""
