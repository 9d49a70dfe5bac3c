"""A listener that keeps its accepted connections."""

import asyncio
from typing import Any, Self

from netjumper.addressing.listen_address import ListenAddress
from netjumper.net.endpoint import Endpoint
from netjumper.net.listener import Listener
from netjumper.net.listening_sockets import listen_on


class AcceptingListener:
    """A listener and the connections that it accepted."""

    def __init__(self, sock: Any) -> None:
        self.endpoints: list[Endpoint] = []
        self.peers: list[str] = []
        self._closed = False
        self.sock = sock
        self.listener = Listener(asyncio.get_running_loop(), sock, self._accepted)

    def _accepted(self, endpoint: Endpoint, peer: str) -> None:
        self.endpoints.append(endpoint)
        self.peers.append(peer)

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.listener.close()

    def __exit__(self, *_: object) -> None:
        self.close()
        for endpoint in self.endpoints:
            endpoint.close()


def accepting_at(text: str) -> AcceptingListener:
    """Listen on the only socket of an address."""
    (sock,) = listen_on(ListenAddress.parse(text))
    return AcceptingListener(sock)
