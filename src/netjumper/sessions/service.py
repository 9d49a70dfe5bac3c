"""A service: listeners whose connections become tunnels; the life cycle of both daemons."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from netjumper.net.endpoint import Endpoint, MakeEndpoint
from netjumper.net.listener import Listener
from netjumper.net.listening_sockets import ListenTarget, open_listeners
from netjumper.net.socket_options import DEFAULTS, SocketOptions
from netjumper.sessions.handshake_phase import ChooseHandshake
from netjumper.sessions.manager import SessionManager


@dataclass(frozen=True, slots=True)
class Door:
    """One place to come in: where to listen, and how one speaks there.

    Attributes:
        name: what the log and the console call it, `socks` for example.
        place: where to listen, or the socket that listens: that one's file is not ours to remove.
        choose: picks the handshake for a connection.
        speaks_first: the handshake begins with our bytes, not the client's.
        endpoint: what becomes of accepted sockets.
    """

    name: str
    place: ListenTarget
    choose: ChooseHandshake
    speaks_first: bool = False
    endpoint: MakeEndpoint = Endpoint


class Service:
    """Opens its doors, serves, and drains.

    Args:
        tunnels: what becomes of the connections.
        doors: where they come in.
        options: of the doors' TCP sockets, and so of those that are accepted there.
    """

    def __init__(
        self, tunnels: SessionManager, doors: Sequence[Door], options: SocketOptions = DEFAULTS
    ) -> None:
        self.tunnels = tunnels
        self._doors = doors
        self._options = options
        self._listeners: list[tuple[Door, Listener]] = []

    @property
    def listening(self) -> list[tuple[str, str]]:
        """Each listening socket as (name of the door, address with the real port)."""
        return [(door.name, listener.address) for door, listener in self._listeners]

    @property
    def inherits(self) -> bool:
        """Whether it listens on sockets that somebody else has opened."""
        return any(isinstance(door.place, socket.socket) for door in self._doors)

    def address_of(self, name: str) -> str:
        """Return where the first door of that name listens."""
        return next(address for door, address in self.listening if door == name)

    def listens_at(self, ip: str, port: int) -> bool:
        """Return whether a connection to that address would come in at one of the doors."""
        return any(listener.listens_at(ip, port) for _, listener in self._listeners)

    def open(self) -> None:
        """Listen on every door, or on none.

        Raises:
            ListenError: one cannot be had.
        """
        opened = open_listeners([(door.name, door.place) for door in self._doors], self._options)
        for door, socks in zip(self._doors, opened, strict=True):
            for sock in socks:
                self._listen(door, sock)

    def stop_accepting(self) -> None:
        """Close the listening sockets; tunnels go on."""
        for _, listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def close(self, grace: float = 0.0) -> int:
        """Stop accepting, give tunnels `grace` seconds, cut the rest off; return their number."""
        self.stop_accepting()
        return await self.tunnels.drain(grace)

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _listen(self, door: Door, sock: socket.socket) -> None:
        tunnels = self.tunnels
        listener = Listener(
            tunnels.context.loop,
            sock,
            lambda endpoint, peer: tunnels.add(endpoint, peer, door.choose, door.speaks_first),
            removes_file=sock is not door.place,
            endpoint=door.endpoint,
        )
        self._listeners.append((door, listener))
