"""A service: listeners whose connections become sessions; both programs are one."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from netjumper.net.endpoint import Endpoint, MakeEndpoint
from netjumper.net.listener import Listener
from netjumper.net.listening_sockets import ListenTarget, open_listeners
from netjumper.net.socket_options import DEFAULTS, SocketOptions
from netjumper.sessions.handshake_phase import ChooseHandshake


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """Where to listen, and how connections from there are served.

    Attributes:
        name: the listener's name in logs and messages, for example `socks`.
        target: the address to listen on, or a socket that listens already. The file of an
            inherited unix socket is not removed at the end.
        choose_handshake: returns the handshake for a connection.
        speaks_first: the handshake begins with the server's bytes.
        make_endpoint: makes the endpoint of an accepted socket.
    """

    name: str
    target: ListenTarget
    choose_handshake: ChooseHandshake
    speaks_first: bool = False
    make_endpoint: MakeEndpoint = Endpoint
    rejects: Callable[[str], bool] | None = None
    """Returns whether a connection is reset at once, given its peer; None resets none."""


class Sessions(Protocol):
    """The sessions of one loop, as a service uses them."""

    @property
    def waiting(self) -> int:
        """How many sessions `drain` would wait for."""

    def add(self, client: Endpoint, peer: str, choose: ChooseHandshake, speaks_first: bool) -> None:
        """Serve an accepted connection."""

    async def drain(self, grace: float) -> int:
        """Wait up to `grace` seconds for sessions to end, abort the rest, return their number."""


SessionsT_co = TypeVar("SessionsT_co", bound=Sessions, covariant=True)


class Service(Generic[SessionsT_co]):
    """Opens listeners, serves their connections, and drains.

    Args:
        sessions: serves the connections.
        configs: the listeners to open.
        options: socket options of the TCP listeners, which accepted connections inherit.
    """

    def __init__(
        self,
        sessions: SessionsT_co,
        configs: Sequence[ListenerConfig],
        options: SocketOptions = DEFAULTS,
    ) -> None:
        self.sessions = sessions
        self._configs = configs
        self._options = options
        self._listeners: list[tuple[str, Listener]] = []

    @property
    def listening(self) -> list[tuple[str, str]]:
        """Each listening socket as (name of the listener, address with the real port)."""
        return [(name, listener.address) for name, listener in self._listeners]

    @property
    def inherits(self) -> bool:
        """Whether it listens on sockets that another process has opened."""
        return any(isinstance(config.target, socket.socket) for config in self._configs)

    def address_of(self, name: str) -> str:
        """Return the address of the first listener of that name."""
        return next(address for listener, address in self.listening if listener == name)

    @property
    def ports(self) -> list[int]:
        """The TCP ports that it listens on."""
        return [listener.port for _, listener in self._listeners]

    def listens_at(self, ip: str, port: int) -> bool:
        """Return whether one of the listeners would accept a connection to that address."""
        return any(listener.listens_at(ip, port) for _, listener in self._listeners)

    def open(self) -> None:
        """Open all listeners, or none.

        Raises:
            ListenError: one of them cannot be opened.
        """
        configs = self._configs
        opened = open_listeners([(it.name, it.target) for it in configs], self._options)
        for config, socks in zip(configs, opened, strict=True):
            for sock in socks:
                self._listen(config, sock)

    def stop_accepting(self) -> None:
        """Close the listeners; sessions go on."""
        for _, listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def close(self, grace: float = 0.0) -> int:
        """Stop accepting, wait up to `grace` seconds for sessions to end, and abort the rest.

        Returns:
            How many sessions were aborted.
        """
        self.stop_accepting()
        return await self.sessions.drain(grace)

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

    def _listen(self, config: ListenerConfig, sock: socket.socket) -> None:
        def accepted(endpoint: Endpoint, peer: str) -> None:
            if config.rejects is not None and config.rejects(peer):
                endpoint.reset()
            else:
                self.sessions.add(endpoint, peer, config.choose_handshake, config.speaks_first)

        listener = Listener(
            asyncio.get_running_loop(),
            sock,
            accepted,
            removes_file=sock is not config.target,
            endpoint=config.make_endpoint,
        )
        self._listeners.append((config.name, listener))
