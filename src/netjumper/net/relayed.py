"""A socket for somebody else that leads where an endpoint does, whatever the bytes are there."""

import asyncio
import socket
from weakref import WeakKeyDictionary

from netjumper.net.endpoint import Endpoint
from netjumper.net.pipes import RelayMemory
from netjumper.net.relay import Ending, Relay

_MEMORIES: WeakKeyDictionary[asyncio.AbstractEventLoop, RelayMemory] = WeakKeyDictionary()


def plain_socket(loop: asyncio.AbstractEventLoop, endpoint: Endpoint) -> socket.socket:
    """Return a non-blocking socket that carries an endpoint's own bytes; the endpoint is then its.

    Where they are encrypted on the way, it is the one end of a pair whose other end `loop` relays.
    """
    if endpoint.plain_fd is not None:
        return endpoint.detach()
    ours, theirs = _tcp_pair()
    if loop not in _MEMORIES:
        _MEMORIES[loop] = RelayMemory(splice=False)
    Relay(_MEMORIES[loop], Endpoint(loop, ours), endpoint, _over).start()
    return theirs


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets; those of `socketpair` know no reset."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        while True:
            theirs = socket.create_connection(listener.getsockname())
            ours, peer = listener.accept()
            if peer == theirs.getsockname():
                break
            ours.close()  # another program of this machine was there first
            theirs.close()
    for sock in (ours, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


def _over(_: Ending) -> None:
    """Nobody has to be told: the pair is closed."""
