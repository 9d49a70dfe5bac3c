"""Decides whether a request is forwarded, tunnelled, or answered by the bridge itself."""

import re
from dataclasses import dataclass

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.http.handshake import AuthorizedRequest, connect_target
from netjumper.bridge.http.messages import members, values
from netjumper.bridge.http.server_connection import TEXT_PLAIN, HttpServerConnection
from netjumper.errors import (
    AddressError,
    AuthenticationError,
    CredentialsMissing,
    NetjumperError,
    ProtocolError,
)

HOW_TO_USE = (
    "This port is an HTTP proxy (netjumper-bridge), not a web server. Set "
    "http_proxy=http://HOST:PORT and HTTPS_PROXY=http://HOST:PORT to the address of this proxy. "
    "It forwards http:// URLs and serves CONNECT for all others"
)

SENSITIVE = frozenset((b"authorization", b"cookie", b"proxy-authorization"))
"""Fields that are left out of the answer to a TRACE (RFC 9110 section 9.3.8)."""

# A WebSocket handshake for a ws: URL is an HTTP request (RFC 6455 section 4.1); some clients send
# the URL to a proxy unchanged.
_HTTP_URL = re.compile(rb"(?:http|ws)://([^/?#]*)(?:[/?][^#]*)?(?:#.*)?", re.IGNORECASE)
# A backslash ends the authority for some programs, so it is no part of a user name.
_USER = re.compile(r"[-A-Za-z0-9._~%!$&'()*+,;=:]*")
_IN_URL = re.compile(rb"(?<=://)[^/?#@]*@|#.*")


class Refused(ProtocolError):
    """A request that the bridge rejects.

    Args:
        status: the status of the answer.
        sentence: the text for a person.
        error: the error type for Proxy-Status (RFC 9209 section 2.3).
        explain: whether to add an explanation of this proxy, as the person may not know it.
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
        """Send the answer to the client."""
        more = f". {HOW_TO_USE}" if self.explain else ""
        server.refuse(self.status, f"{self}{more}", self.error)


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """The content of the bridge's own answer with status 200."""

    media_type: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class AnsweredLocally:
    """A request that the bridge itself has answered.

    Attributes:
        status: the status of the answer.
        error: why the request was rejected; None if it was not.
        last: whether the connection can serve no further request.
    """

    status: int
    error: Exception | None = None
    last: bool = True


def route(
    server: HttpServerConnection, request: h11.Request, client: str | None, name: bytes
) -> Address | AuthorizedRequest | AnsweredLocally:
    """Return the target that a request is forwarded to.

    For a CONNECT, return it with its client instead. If the request is not forwarded, answer it
    and return `AnsweredLocally`.

    Args:
        server: the client's connection, on which the request came.
        request: the request as it was received.
        client: the authenticated user name, empty without authentication; None if it failed.
        name: the bridge's name in Via.
    """
    if client is None:
        return _ask_for_credentials(server, request)
    try:
        if request.method == b"CONNECT":
            return _checked_connect(server, request, client)
        destination = _destination(request, name)
    except Refused as refused:
        refused.answer(server)
        return AnsweredLocally(refused.status, refused)
    if isinstance(destination, Address):
        return destination
    server.send_content(
        200, destination.media_type, destination.content, [(b"Connection", b"close")]
    )
    return AnsweredLocally(200)


def _ask_for_credentials(server: HttpServerConnection, request: h11.Request) -> AnsweredLocally:
    last = False
    try:
        server.ask_for_credentials(request)
    except (AuthenticationError, CredentialsMissing):
        last = True
    return AnsweredLocally(407, server.auth_error, last)


def _checked_connect(
    server: HttpServerConnection, request: h11.Request, client: str
) -> AuthorizedRequest:
    try:
        connect_target(request)
    except NetjumperError as error:
        raise Refused(400, str(error)) from None
    return AuthorizedRequest(server, request, client)


def _destination(request: h11.Request, name: bytes) -> Address | LocalAnswer:
    # Checked before the form of the target: a request that loops is in origin-form.
    if any(name in via.split() for via in members(request, b"via")):
        raise Refused(502, "The request came back to this proxy", "proxy_loop_detected")
    if request.method == b"OPTIONS" and request.target == b"*":
        return LocalAnswer(TEXT_PLAIN, HOW_TO_USE.encode())
    authority = _authority(request)
    if request.method in (b"OPTIONS", b"TRACE") and _no_more_hops(request):
        return _answer_as_target(request)
    has_port = ":" in authority.rpartition("]")[2].removesuffix(":")
    try:
        return Address.parse(authority if has_port else authority.removesuffix(":") + ":80")
    except AddressError as error:
        raise Refused(400, f"The target is not valid: {error}") from None


def _authority(request: h11.Request) -> str:
    url = _HTTP_URL.fullmatch(request.target)
    if url is None:
        if request.target.startswith((b"/", b"*")):
            raise Refused(400, "The request is not a proxy request", explain=True)
        raise Refused(400, "Only http:// URLs can be forwarded", explain=True)
    authority = url[1].decode("latin-1")
    # Some programs send both, though they should not. The fragment is dropped with the path.
    user, _, host = authority.rpartition("@")
    if not _USER.fullmatch(user):
        raise Refused(400, "The user name or password in the URL is not valid")
    return host.replace("%25", "%", 1) if host.startswith("[") else host  # RFC 6874: a zone


def _no_more_hops(request: h11.Request) -> bool:
    """Return whether Max-Forwards is 0, in any number of digits."""
    return any(value and not value.strip(b"0") for value in values(request, b"max-forwards"))


def _answer_as_target(request: h11.Request) -> LocalAnswer:
    if request.method == b"OPTIONS":
        return LocalAnswer(TEXT_PLAIN, HOW_TO_USE.encode())
    lines = [
        request.method + b" " + _IN_URL.sub(b"", request.target) + b" HTTP/" + request.http_version
    ]
    lines += [
        name + b": " + value
        for name, value in request.headers.raw_items()
        if name.lower() not in SENSITIVE
    ]
    return LocalAnswer(b"message/http", b"\r\n".join([*lines, b"", b""]))
