"""What a health check sends to each kind of listener; none needs a secret, password or tunnel."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from time import monotonic

from netjumper.addressing.listeners import Greeting
from netjumper.protocol.wire import CHALLENGE_SIZE
from netjumper.tls.context import default_context

BRIDGE_NAME = b"This is netjumper-bridge"
"""The beginning of the body of a bridge's answer to `OPTIONS *`."""
MAX_HEAD_BYTES = 16 * 1024
"""Bytes of the head of an HTTP answer that are read; that of a bridge is shorter."""

_SOCKS_GREETING = b"\5\2\0\2"
_SOCKS_METHODS = frozenset({b"\5\0", b"\5\2", b"\5\xff"})
_HEAD_END = b"\r\n\r\n"
_HTTP_GREETING = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""An alert, or a handshake (RFC 8446 section 5.1)."""


class Greeted:
    """A connection to a listener. Other programs may answer there: with drops, or without end.

    Args:
        sock: the connection.
        deadline: `monotonic` seconds until which the whole answer must have come.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        self._sock.sendall(data)

    def receive(self, count: int, end: bytes = b"") -> bytes:
        """Return `count` bytes; fewer if the stream ends before, or `end` is within them.

        Raises:
            TimeoutError: they do not come in time.
        """
        data = b""
        while len(data) < count and not (end and end in data):
            left = self._deadline - monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
            more = self._sock.recv(count - len(data))
            if not more:
                break
            data += more
        return data


Exchange = Callable[[Greeted], bool]
"""Sends a greeting on a connection, and returns whether the answer is the expected one."""


def _challenge(listener: Greeted) -> bool:
    """Wait for the server's first bytes; a client that then closes the connection requests
    nothing."""
    return listener.receive(1) == bytes((CHALLENGE_SIZE,)) and (
        len(listener.receive(CHALLENGE_SIZE)) == CHALLENGE_SIZE
    )


def _tls_hello(listener: Greeted) -> bool:
    """Send a ClientHello: a jump server answers at least with an alert, without a secret."""
    outgoing = ssl.MemoryBIO()
    context = default_context()
    # The server refuses this version before any authentication, so this counts as no failure of it.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="-")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    listener.send(outgoing.read())
    return listener.receive(2) in _TLS_RECORDS


def _socks(listener: Greeted) -> bool:
    listener.send(_SOCKS_GREETING)
    return listener.receive(2) in _SOCKS_METHODS


def _http(listener: Greeted) -> bool:
    """Send `OPTIONS *`: any web server answers, but only a bridge names itself in the body."""
    listener.send(_HTTP_GREETING)
    head, end, body = listener.receive(MAX_HEAD_BYTES, _HEAD_END).partition(_HEAD_END)
    if not (end and head.startswith(b"HTTP/1.1 200 ")):
        return False
    # Another program's body can be shorter, and the connection stays open after it.
    while len(body) < len(BRIDGE_NAME) and BRIDGE_NAME.startswith(body):
        if not (more := listener.receive(1)):
            return False
        body += more
    return body.startswith(BRIDGE_NAME)


EXCHANGES: dict[Greeting, Exchange] = {
    Greeting.CHALLENGE: _challenge,
    Greeting.TLS_HELLO: _tls_hello,
    Greeting.SOCKS5: _socks,
    Greeting.HTTP_OPTIONS: _http,
}
