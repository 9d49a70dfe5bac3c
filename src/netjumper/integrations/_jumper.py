"""What the integrations need of a jumper: an interface, so that they do not import the class."""

import socket
from typing import Protocol


class OpensTunnels(Protocol):
    """A `netjumper.Jumper`, or what opens tunnels as it does."""

    def connect(self, target: str, timeout: float | None = None) -> socket.socket:
        """Return a blocking socket that is connected to `target` through the jump server."""

    async def open_socket(self, target: str, *, timeout: float | None = None) -> socket.socket:
        """Return a non-blocking socket that is connected to `target` through the jump server."""
