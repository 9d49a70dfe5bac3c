"""A plain socket that carries the plaintext of an endpoint, for other libraries."""

import asyncio
import contextlib
import selectors
import socket
from weakref import WeakKeyDictionary

from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.relay.ending import RelayEnd
from netjumper.relay.relay import HALF_CLOSED_CHECK_INTERVAL_S, Relay
from netjumper.relay.splice import RelayMemory
from netjumper.tls.endpoint import TlsEndpoint

ACCEPT_WAIT_S = 0.1
"""Seconds in which the kernel connects two sockets of this machine."""
_MEMORIES: WeakKeyDictionary[asyncio.AbstractEventLoop, RelayMemory] = WeakKeyDictionary()


def plain_socket(loop: asyncio.AbstractEventLoop, endpoint: Endpoint) -> socket.socket:
    """Return a non-blocking socket that carries an endpoint's plaintext, and owns the endpoint.

    If the endpoint is encrypted, it is one end of a socket pair, and `loop` relays the other end.

    Raises:
        OSError: no descriptor is free; the endpoint is closed.
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
    """Complete the TLS handshake, and return a non-blocking socket that carries the plaintext.

    It also waits for the server's first bytes: only they, or an alert in their place, show a client
    whether the server accepts it (RFC 8446 section 4.4.2.4).

    Args:
        endpoint: is closed in case of an error.
        timeout: seconds that both can take.

    Raises:
        ssl.SSLError: the peer is the wrong one, or does not speak TLS.
        OSError: the connection is lost or was truncated, or took too long (TimeoutError).
    """
    loop = asyncio.get_running_loop()
    through: asyncio.Future[None] = loop.create_future()

    def go_on() -> None:
        if through.done():  # the timeout came in this turn of the loop
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
    """Whether the server has sent data, so it has accepted the client, or has ended the stream.

    Raises:
        OSError: the connection is lost, or the peer has sent an alert.
    """
    return endpoint.at_eof() or endpoint.holds_plaintext


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected TCP sockets; those of `socketpair` have no reset.

    Nothing blocks, since a loop calls this: on loopback, a connection is in the queue of the
    listener when `connect` returns. Only a very busy kernel needs the short wait.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        listener.setblocking(False)
        while True:
            theirs = socket.socket()
            try:
                theirs.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    theirs.connect(listener.getsockname())
                ours, peer = _accepted(listener)
            except BaseException:
                theirs.close()
                raise
            if peer == theirs.getsockname():
                break
            ours.close()  # another program on this machine connected first
            theirs.close()
    for sock in (ours, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Without this, a closed end looks like one that has only ended its direction.
    if hasattr(socket, "TCP_LINGER2"):
        theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1)
    return ours, theirs


def _accepted(listener: socket.socket) -> tuple[socket.socket, object]:
    try:
        return listener.accept()
    except BlockingIOError:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.select(ACCEPT_WAIT_S)
        return listener.accept()


def _over(_: RelayEnd) -> None:
    """Do nothing: the pair is closed, which its other end sees."""
