"""Where a request leads, and what its client is told when it is not passed on."""

import re
from dataclasses import dataclass

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.http.handshake import AuthorizedRequest, connect_target
from netjumper.bridge.http.messages import members, values
from netjumper.bridge.http.server_connection import TEXT, HttpServerConnection
from netjumper.errors import AddressError, AuthenticationError, NetjumperError, ProtocolError

HOW_TO_USE = (
    "This port is an HTTP proxy (netjumper-bridge), not a web server. Use it with "
    "http_proxy=http://HOST:PORT and HTTPS_PROXY=http://HOST:PORT, HOST:PORT being this port's. "
    "It forwards http:// URLs and does CONNECT for all others"
)

SENSITIVE = frozenset((b"authorization", b"cookie", b"proxy-authorization"))
"""Fields that are not shown to whoever asks for a TRACE (RFC 9110 section 9.3.8)."""

# Of a ws: URL the WebSocket is made as of an http: URL (RFC 6455 section 4.1); clients that go by
# the scheme send it to a proxy as it is.
_HTTP_URL = re.compile(rb"(?:http|ws)://([^/?#]*)(?:[/?][^#]*)?", re.IGNORECASE)


class Refused(ProtocolError):
    """A request that is answered here.

    Args:
        status: the answer's.
        sentence: for a person.
        error: the error type for Proxy-Status (RFC 9209 section 2.3).
        explain: the person may not know what this port is.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        error: str = "http_request_error",
        *,
        explain: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.error = error
        self.explain = explain

    def answer(self, server: HttpServerConnection) -> None:
        """Tell the client."""
        more = f". {HOW_TO_USE}" if self.explain else ""
        server.refuse(self.status, f"{self}{more}", self.error)


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What is said, with status 200, to a request that goes no further than here."""

    media_type: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class AnsweredLocally:
    """A request that goes no further: its answer has been given to the client's connection.

    Attributes:
        status: the answer's.
        error: why it was refused; None where this is no failure.
        last: whether the client can ask for nothing more on this connection.
    """

    status: int
    error: Exception | None = None
    last: bool = True


def route(
    server: HttpServerConnection, request: h11.Request, client: str | None, name: bytes
) -> Address | AuthorizedRequest | AnsweredLocally:
    """Return where a request is to be forwarded to.

    It is a CONNECT with its client if the client asks for a tunnel, and `AnsweredLocally` if the
    request is not forwarded.

    Args:
        server: the client's connection, on which the request came.
        request: as it came.
        client: the user's proven name, empty where none is asked for; None: not to be let in.
        name: ours in Via.
    """
    if client is None:
        return _ask_for_credentials(server, request)
    try:
        if request.method == b"CONNECT":
            return _checked_connect(server, request, client)
        where = _where_to(request, name)
    except Refused as refused:
        refused.answer(server)
        return AnsweredLocally(refused.status, refused)
    if isinstance(where, Address):
        return where
    server.send_content(200, where.media_type, where.content, [(b"Connection", b"close")])
    return AnsweredLocally(200)


def _ask_for_credentials(server: HttpServerConnection, request: h11.Request) -> AnsweredLocally:
    last = False
    try:
        server.ask_for_credentials(request)
    except AuthenticationError:
        last = True
    return AnsweredLocally(407, AuthenticationError(server.turned_away), last)


def _checked_connect(
    server: HttpServerConnection, request: h11.Request, client: str
) -> AuthorizedRequest:
    try:
        connect_target(request)
    except NetjumperError as error:
        raise Refused(400, str(error)) from None
    return AuthorizedRequest(server, request, client)


def _where_to(request: h11.Request, name: bytes) -> Address | LocalAnswer:
    # Before its form is looked at: what comes round is in that for any server.
    if any(name in via.split() for via in members(request, b"via")):
        raise Refused(502, "The request came round to this proxy again", "proxy_loop_detected")
    if request.method == b"OPTIONS" and request.target == b"*":
        return LocalAnswer(TEXT, HOW_TO_USE.encode())
    authority = _authority(request)
    if request.method in (b"OPTIONS", b"TRACE") and _no_more_hops(request):
        return _in_the_targets_place(request)
    has_port = ":" in authority.rpartition("]")[2].removesuffix(":")
    try:
        return Address.parse(authority if has_port else authority.removesuffix(":") + ":80")
    except AddressError as error:
        raise Refused(400, f"The target is not valid: {error}") from None


def _authority(request: h11.Request) -> str:
    url = _HTTP_URL.fullmatch(request.target)
    if url is None:
        if request.target.startswith((b"/", b"*")):
            raise Refused(400, "The request is not one to a proxy", explain=True)
        raise Refused(400, "Only http:// URLs can be forwarded", explain=True)
    authority = url[1].decode("latin-1")
    if "@" in authority:
        raise Refused(400, "A user name or password in the URL is not forwarded")
    return authority


def _no_more_hops(request: h11.Request) -> bool:
    """Whether Max-Forwards is 0, however many digits say so."""
    return any(value and not value.strip(b"0") for value in values(request, b"max-forwards"))


def _in_the_targets_place(request: h11.Request) -> LocalAnswer:
    if request.method == b"OPTIONS":
        return LocalAnswer(TEXT, HOW_TO_USE.encode())
    lines = [request.method + b" " + request.target + b" HTTP/" + request.http_version]
    lines += [
        name + b": " + value
        for name, value in request.headers.raw_items()
        if name.lower() not in SENSITIVE
    ]
    return LocalAnswer(b"message/http", b"\r\n".join([*lines, b"", b""]))
