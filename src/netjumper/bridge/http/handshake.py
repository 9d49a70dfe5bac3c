"""HTTP as a proxy server: the first request decides.

CONNECT (RFC 9110 section 9.3.6) asks for a tunnel; anything else is forwarded, and is handed on
as it was read.
"""

from collections.abc import Generator
from dataclasses import dataclass

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.messages import has_body
from netjumper.bridge.http.server_connection import HttpServerConnection
from netjumper.errors import AddressError, AuthenticationError, ProtocolError
from netjumper.protocol.handshake import EndOfStream, ListeningHandshake, TunnelRequest


@dataclass(frozen=True, slots=True)
class AuthorizedRequest:
    """A request whose client may ask for it, and the connection on which its body follows."""

    server: HttpServerConnection
    request: h11.Request
    client: str
    """The user's proven name; empty where nobody asked for one."""


class HttpHandshake(ListeningHandshake[TunnelRequest | AuthorizedRequest]):
    """Reads requests until there is one that may be served.

    Its result is `AuthorizedRequest` where that is no CONNECT.

    Args:
        credentials: who may come in (`Proxy-Authorization: Basic`); None lets everybody.
        connect: a CONNECT that was read behind other requests; then nothing is to be read.
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
        """Answer 200: what follows is the tunnel."""
        self._server.send(
            h11.Response(status_code=200, headers=[], reason=b"Connection established")
        )
        self._write(self._server.data_to_send())

    def reject(self, error: Exception) -> None:
        """Answer with the status that fits, a line for people and Proxy-Status for programs."""
        self._server.fail(error, self._target)
        self._write(self._server.data_to_send())

    def _steps(self) -> Generator[None, None, TunnelRequest | AuthorizedRequest]:
        try:
            asked = self._connect or (yield from self._read_authorized())
            if asked.request.method != b"CONNECT":
                return asked
            return self._tunnel(asked)
        finally:
            self._write(self._server.data_to_send())

    def _read_authorized(self) -> Generator[None, None, AuthorizedRequest]:
        while True:
            request = yield from self._read_request()
            if _is_ping(request):
                yield from self._answer_ping()
            elif (client := self._server.user(request)) is not None:
                return AuthorizedRequest(self._server, request, client)
            else:
                self._server.ask_for_credentials(request)

    def _answer_ping(self) -> Generator[None, None, None]:
        """Say that the bridge is there, which needs no password; who leaves then is no failure."""
        server = self._server
        server.answer(200, "This is netjumper-bridge", [])
        server.next_event()  # the request's end: it has no body
        self._write(server.data_to_send())
        # A wrong password that came before is told of, however the client leaves.
        self.asked = bool(server.trailing_data() or server.turned_away)
        if not server.start_next_cycle():
            if not server.trailing_data():
                yield from self._read_some()
            raise EndOfStream("the client was to close the connection")

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

    def _tunnel(self, asked: AuthorizedRequest) -> TunnelRequest:
        server = self._server
        try:
            target = connect_target(asked.request)
        except AddressError as error:
            server.fail(error)
            raise
        except ProtocolError as error:
            server.refuse(400, str(error))
            raise
        server.next_event()  # the request's end: it has no body
        self._target = str(target)
        self._incoming[:0] = server.trailing_data()
        return TunnelRequest(target, asked.client)


def _is_ping(request: h11.Request) -> bool:
    """Whether it asks for nothing but a sign of life (RFC 9110 section 9.3.7)."""
    return request.method == b"OPTIONS" and request.target == b"*" and not has_body(request)


def connect_target(request: h11.Request) -> Address:
    """Return where a CONNECT is to lead (RFC 9112 section 3.2.3: authority-form only).

    Raises:
        AddressError: its target is no `HOST:PORT`.
        ProtocolError: it has a body.
    """
    if has_body(request):
        raise ProtocolError("A CONNECT request carries no body")
    if b"@" in request.target:  # not repeated: there may be a password in it
        raise AddressError("a CONNECT names HOST:PORT, without a user name or password")
    return Address.parse(request.target.decode("latin-1"))
