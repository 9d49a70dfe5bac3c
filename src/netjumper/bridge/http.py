"""HTTP as a proxy server: the first request decides.

CONNECT (RFC 9110 section 9.3.6) asks for a tunnel; anything else is forwarded, and is handed on
as it was read.
"""

from collections.abc import Generator
from dataclasses import dataclass

import h11

from netjumper.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http_server import HttpServer, has_body
from netjumper.errors import AddressError, AuthenticationError, ProtocolError
from netjumper.handshake import EndOfStream, ListeningHandshake
from netjumper.request import TunnelRequest


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """A request that is no CONNECT, and the connection on which its body and others follow."""

    server: HttpServer
    request: h11.Request
    client: str


class HttpHandshake(ListeningHandshake[TunnelRequest | ForwardRequest]):
    """Reads requests until there is one that may be served.

    Args:
        credentials: who may come in (`Proxy-Authorization: Basic`); None lets everybody.
    """

    __slots__ = ("_server", "_target")

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._server = HttpServer(credentials)
        self._target = ""
        super().__init__()

    def accept(self) -> None:
        """Answer 200: what follows is the tunnel."""
        self._server.send(
            h11.Response(status_code=200, headers=[], reason=b"Connection established")
        )
        self._write(self._server.data_to_send())

    def reject(self, error: Exception) -> None:
        """Answer with the status that fits, a line for people and Proxy-Status for programs."""
        self._server.fail(error, self._target)
        self._write(self._server.data_to_send())

    def _steps(self) -> Generator[None, None, TunnelRequest | ForwardRequest]:
        try:
            request, client = yield from self._read_authorized()
            if request.method != b"CONNECT":
                return ForwardRequest(self._server, request, client)
            return self._tunnel(request, client)
        finally:
            self._write(self._server.data_to_send())

    def _read_authorized(self) -> Generator[None, None, tuple[h11.Request, str]]:
        request = yield from self._read_request()
        while (client := self._server.user(request)) is None:
            self._server.ask_for_credentials(request)
            request = yield from self._read_request()
        return request, client

    def _read_request(self) -> Generator[None, None, h11.Request]:
        server = self._server
        while (event := server.next_event()) is h11.NEED_DATA:
            self._write(server.data_to_send())
            server.receive_data((yield from self._read_some()))
        if isinstance(event, h11.Request):
            return event
        if server.turned_away:
            raise AuthenticationError(server.turned_away)
        raise EndOfStream("the client closed the connection without a request")

    def _tunnel(self, request: h11.Request, client: str) -> TunnelRequest:
        server = self._server
        if has_body(request):
            server.refuse(400, "A CONNECT request carries no body")
            raise ProtocolError("a CONNECT request with a body")
        try:
            # In authority-form only (RFC 9112 section 3.2.3).
            target = Address.parse(request.target.decode("latin-1"))
        except AddressError as error:
            server.fail(error)
            raise
        server.next_event()  # the request's end: it has no body
        self._target = str(target)
        self._incoming[:0] = server.trailing_data()
        return TunnelRequest(target, client)
