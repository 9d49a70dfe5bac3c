"""Connections of this jump server to itself, through the address translation of its router.

A target can be the router's public address: the router then sends the connection back to this
machine (hairpin NAT), and the guard cannot know that. But such a connection arrives with the port
that it was dialled from, as routers keep the port if they can.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Collection

REMEMBERED_S = 2.0
"""Seconds within which a dialled connection can arrive: it goes to the router and back."""
MAX_REMEMBERED = 16
"""Number of ports that are remembered. A client can dial its own host on such a port, and whoever
connects from the same port then is reset: with so few, that is one connection of thousands."""
_LOG = logging.getLogger("netjumper")


class OwnConnections:
    """Remembers the ports that connections to this jump server's own ports were dialled from.

    Args:
        loop: the running loop.
        listening_ports: returns the ports that the jump server listens on.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listening_ports: Callable[[], Collection[int]]
    ) -> None:
        self._loop = loop
        self._listening_ports = listening_ports
        self._dialled_from: dict[int, None] = {}
        """The ports, the latest at the end."""

    def dialled(self, sock: socket.socket, port: int) -> None:
        """Remember a connection that is being dialled.

        Args:
            sock: the connection.
            port: the port that it is dialled to.
        """
        if port in self._listening_ports():
            own = sock.getsockname()[1]
            self._dialled_from.pop(own, None)
            self._dialled_from[own] = None
            if len(self._dialled_from) > MAX_REMEMBERED:
                del self._dialled_from[next(iter(self._dialled_from))]
            self._loop.call_later(REMEMBERED_S, self._dialled_from.pop, own, None)

    def includes(self, peer: str) -> bool:
        """Return whether an accepted connection is one of these, and log it.

        Args:
            peer: `IP:PORT` or `unix`.
        """
        port = peer.rpartition(":")[2]
        if not self._dialled_from or not port.isdecimal() or int(port) not in self._dialled_from:
            return False
        _LOG.warning("%s: this jump server has connected to itself; the connection is reset", peer)
        return True
