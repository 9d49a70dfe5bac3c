"""What a health check sends to each kind of listener; none needs a secret, password or tunnel."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse

from netjumper.addressing.listeners import Greeting
from netjumper.protocol.wire import CHALLENGE_SIZE
from netjumper.tls.context import default_context

BRIDGE_NAME = b"netjumper-bridge"
"""Part of the body of a bridge's answer to `OPTIONS *`."""
MAX_HTTP_BODY_SIZE = 4096
"""Bytes of an HTTP answer's body that are read; a bridge names itself within them."""

Exchange = Callable[[socket.socket], bool]
"""Sends a greeting on a connection, and returns whether the answer is the expected one."""

_SOCKS_GREETING = b"\5\2\0\2"
_SOCKS_METHODS = frozenset({b"\5\0", b"\5\2", b"\5\xff"})
_HTTP_GREETING = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""An alert, or a handshake (RFC 8446 section 5.1)."""


def received(sock: socket.socket, count: int) -> bytes:
    """Return `count` bytes; fewer if the stream ends before."""
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def _challenge(sock: socket.socket) -> bool:
    """Wait for the server's first bytes; a client that then closes the connection requests
    nothing."""
    return received(sock, 1) == bytes((CHALLENGE_SIZE,)) and (
        len(received(sock, CHALLENGE_SIZE)) == CHALLENGE_SIZE
    )


def _tls_hello(sock: socket.socket) -> bool:
    """Send a ClientHello: a jump server answers at least with an alert, without a secret."""
    outgoing = ssl.MemoryBIO()
    context = default_context()
    # The server refuses this version before any authentication, so this counts as no failure of it.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="-")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    sock.sendall(outgoing.read())
    return received(sock, 2) in _TLS_RECORDS


def _socks(sock: socket.socket) -> bool:
    sock.sendall(_SOCKS_GREETING)
    return received(sock, 2) in _SOCKS_METHODS


def _http(sock: socket.socket) -> bool:
    """Send `OPTIONS *`: any web server answers, but only a bridge names itself in the body."""
    sock.sendall(_HTTP_GREETING)
    with closing(HTTPResponse(sock, method="OPTIONS")) as answer:
        try:
            answer.begin()
            body = answer.read(MAX_HTTP_BODY_SIZE)
        except HTTPException:
            return False
    return answer.status == HTTPStatus.OK and BRIDGE_NAME in body


EXCHANGES: dict[Greeting, Exchange] = {
    Greeting.CHALLENGE: _challenge,
    Greeting.TLS_HELLO: _tls_hello,
    Greeting.SOCKS5: _socks,
    Greeting.HTTP_OPTIONS: _http,
}
