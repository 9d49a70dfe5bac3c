"""The interface of a jumper for the integrations, so that they do not import the class."""

import socket
from typing import Protocol


class OpensTunnels(Protocol):
    """A `netjumper.Jumper`, or another class that opens tunnels as it does."""

    def connect(self, target: str, timeout: float | None = None) -> socket.socket:
        """Return a blocking socket that is connected to `target` through the jump server."""

    async def open_socket(self, target: str, *, timeout: float | None = None) -> socket.socket:
        """Return a non-blocking socket that is connected to `target` through the jump server."""
