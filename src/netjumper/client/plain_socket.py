"""A socket for somebody else that leads where an endpoint does, whatever the bytes are there."""

import asyncio
import socket
from weakref import WeakKeyDictionary

from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.relay.ending import RelayEnd
from netjumper.relay.relay import HALF_CLOSED_CHECK_INTERVAL_S, Relay
from netjumper.relay.splice import RelayMemory
from netjumper.tls.endpoint import TlsEndpoint

_MEMORIES: WeakKeyDictionary[asyncio.AbstractEventLoop, RelayMemory] = WeakKeyDictionary()


def plain_socket(loop: asyncio.AbstractEventLoop, endpoint: Endpoint) -> socket.socket:
    """Return a non-blocking socket that carries an endpoint's own bytes; the endpoint is then its.

    Where they are encrypted on the way, it is the one end of a pair whose other end `loop` relays.

    Raises:
        OSError: there is no descriptor left; the endpoint is closed.
    """
    if endpoint.plain_fd is not None:
        return endpoint.detach()
    try:
        ours, theirs = _tcp_pair()
    except OSError:
        endpoint.abort()
        raise
    if loop not in _MEMORIES:
        _MEMORIES[loop] = RelayMemory(splice=False)
    half_closed: Deadlines[Relay] = Deadlines(
        loop, HALF_CLOSED_CHECK_INTERVAL_S, Relay.check_half_closed
    )
    Relay(_MEMORIES[loop], Endpoint(loop, ours), endpoint, _over, half_closed).start()
    return theirs


async def decrypted_socket(endpoint: TlsEndpoint, timeout: float) -> socket.socket:
    """Shake hands, and return a non-blocking socket that carries what is inside.

    It waits for the server's first word, too: only with that, or with an alert instead, does a
    client know what the server thinks of it (RFC 8446 section 4.4.2.4).

    Args:
        endpoint: is closed where there is none.
        timeout: seconds that both may take.

    Raises:
        ssl.SSLError: the peer is not who it should be, or what it sends is not TLS.
        OSError: the connection is lost, was cut, or nothing came in time (TimeoutError).
    """
    loop = asyncio.get_running_loop()
    through: asyncio.Future[None] = loop.create_future()

    def go_on() -> None:
        if through.done():  # the time was over in this very round of the loop
            return
        try:
            if endpoint.shake_hands() and _has_heard(endpoint):
                endpoint.stop_reading()
                through.set_result(None)
        except OSError as error:
            endpoint.stop_reading()
            through.set_exception(error)

    endpoint.start_reading(go_on)
    try:
        await asyncio.wait_for(through, timeout)
    except BaseException:
        endpoint.close()
        raise
    return plain_socket(loop, endpoint)


def _has_heard(endpoint: TlsEndpoint) -> bool:
    """Whether something came from the server, which has let us in by that, or the end.

    Raises:
        OSError: the connection is lost, or the peer refuses to go on.
    """
    return endpoint.at_eof() or endpoint.holds_plaintext


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
    # A closed end looks like one that has ended its direction, unless the kernel resets it at once.
    if hasattr(socket, "TCP_LINGER2"):
        theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1)
    return ours, theirs


def _over(_: RelayEnd) -> None:
    """Nobody has to be told: the pair is closed."""
