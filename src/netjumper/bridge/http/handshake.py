"""The HTTP handshake of a proxy: the first request decides what the connection becomes.

CONNECT (RFC 9110 section 9.3.6) requests a tunnel; any other request is forwarded.
"""

from collections.abc import Generator
from dataclasses import dataclass

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.messages import has_body
from netjumper.bridge.http.server_connection import HttpServerConnection
from netjumper.errors import AddressError, ProtocolError
from netjumper.protocol.handshake import EndOfStream, ListeningHandshake, TunnelRequest

MAX_UNSERVED_REQUESTS = 32
"""Requests on one connection that are answered before one is authorized: pings, and requests
without a password. A client sends one or two; a flood sends thousands at once."""


@dataclass(frozen=True, slots=True)
class AuthorizedRequest:
    """A request from an authenticated client, and the connection on which its body follows."""

    server: HttpServerConnection
    request: h11.Request
    client: str
    """The authenticated user name; empty without authentication."""


class HttpHandshake(ListeningHandshake[TunnelRequest | AuthorizedRequest]):
    """Reads requests until one can be served.

    Its result is a `TunnelRequest` for a CONNECT, and an `AuthorizedRequest` for any other method.

    Args:
        credentials: checked against `Proxy-Authorization: Basic`; None accepts every client.
        connect: a CONNECT that followed other requests; then nothing more is read.
    """

    __slots__ = ("_connect", "_server", "_target")

    def __init__(
        self, credentials: Credentials | None = None, *, connect: AuthorizedRequest | None = None
    ) -> None:
        self._server = connect.server if connect else HttpServerConnection(credentials)
        self._connect = connect
        self._target = ""
        super().__init__()

    def accept(self) -> None:
        """Answer 200; the bytes after it belong to the tunnel."""
        self._server.send(
            h11.Response(status_code=200, headers=[], reason=b"Connection established")
        )
        self._write(self._server.data_to_send())

    def reject(self, error: Exception) -> None:
        """Answer with the error's status, a line of text, and a Proxy-Status field."""
        self._server.fail(error, self._target)
        self._write(self._server.data_to_send())

    def _steps(self) -> Generator[None, None, TunnelRequest | AuthorizedRequest]:
        try:
            authorized = self._connect or (yield from self._read_authorized())
            if authorized.request.method != b"CONNECT":
                return authorized
            return self._tunnel(authorized)
        finally:
            self._write(self._server.data_to_send())

    def _read_authorized(self) -> Generator[None, None, AuthorizedRequest]:
        for _ in range(MAX_UNSERVED_REQUESTS):
            request = yield from self._read_request()
            if _is_ping(request):
                yield from self._answer_ping()
            elif (client := self._server.user(request)) is not None:
                return AuthorizedRequest(self._server, request, client)
            else:
                self._server.ask_for_credentials(request)
        text = f"No request of the first {MAX_UNSERVED_REQUESTS} can be served"
        self._server.refuse(429, text)
        raise ProtocolError(text)

    def _answer_ping(self) -> Generator[None, None, None]:
        """Answer that the bridge is up, without authentication; a client may leave then."""
        server = self._server
        server.answer(200, "This is netjumper-bridge", [])
        server.next_event()  # the end of the request, which has no body
        self._write(server.data_to_send())
        # An authentication failure before the ping is logged, however the client leaves.
        self.has_request = bool(server.trailing_data() or server.auth_error)
        if not server.start_next_cycle():
            if not server.trailing_data():
                yield from self._read_some()
            raise EndOfStream("the client asked to close the connection")

    def _read_request(self) -> Generator[None, None, h11.Request]:
        server = self._server
        while (event := server.next_event()) is h11.NEED_DATA:
            self._write(server.data_to_send())
            server.receive_data((yield from self._read_some()))
        if isinstance(event, h11.Request):
            return event
        if server.auth_error:
            raise server.auth_error
        raise EndOfStream("the client closed the connection without a request")

    def _tunnel(self, authorized: AuthorizedRequest) -> TunnelRequest:
        server = self._server
        try:
            target = connect_target(authorized.request)
        except AddressError as error:
            server.fail(error)
            raise
        except ProtocolError as error:
            server.refuse(400, str(error))
            raise
        server.next_event()  # the end of the request, which has no body
        self._target = str(target)
        self._incoming[:0] = server.trailing_data()
        return TunnelRequest(target, authorized.client)


def _is_ping(request: h11.Request) -> bool:
    """Return whether the request only checks that the server is up (RFC 9110 section 9.3.7)."""
    return request.method == b"OPTIONS" and request.target == b"*" and not has_body(request)


def connect_target(request: h11.Request) -> Address:
    """Return the target of a CONNECT (RFC 9112 section 3.2.3: authority-form only).

    Raises:
        AddressError: the target is not `HOST:PORT`.
        ProtocolError: the request has a body.
    """
    if has_body(request):
        raise ProtocolError("A CONNECT request carries no body")
    if b"@" in request.target:  # not quoted: it may contain a password
        raise AddressError("a CONNECT names HOST:PORT, without a user name or password")
    return Address.parse(request.target.decode("latin-1"))
