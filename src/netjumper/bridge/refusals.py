"""Which requests are not forwarded, and what their clients are told."""

import re

import h11

from netjumper.address import Address
from netjumper.bridge.fields import members, values
from netjumper.bridge.http_server import Fields, HttpServer
from netjumper.errors import AddressError, ProtocolError

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
_HAS_PORT = re.compile(rb":[0-9]+$")


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

    def answer(self, server: HttpServer) -> None:
        """Tell the client."""
        more = f". {HOW_TO_USE}" if self.explain else ""
        server.refuse(self.status, f"{self}{more}", self.error)


class MaxForwardsReached(Refused):
    """The last hop that an OPTIONS or TRACE may take is this one (RFC 9110 section 7.6.2)."""

    def __init__(self, request: h11.Request) -> None:
        super().__init__(200, "")
        self.request = request

    def answer(self, server: HttpServer) -> None:
        """Answer in the target's place."""
        close: Fields = [(b"Connection", b"close")]
        if self.request.method == b"OPTIONS":
            server.answer(200, HOW_TO_USE, close)
        else:
            server.send_content(200, b"message/http", _as_received(self.request), close)


def check_forwardable(request: h11.Request, name: bytes) -> Address:
    """Return where a request is to be forwarded to.

    Args:
        request: as it came from the client.
        name: ours in Via.

    Raises:
        Refused: it is not forwarded.
    """
    url = _HTTP_URL.fullmatch(request.target)
    if url is None:
        if request.target.startswith((b"/", b"*")):
            raise Refused(400, "The request is not one to a proxy", explain=True)
        raise Refused(400, "Only http:// URLs can be forwarded", explain=True)
    authority = url[1].decode("latin-1")
    if "@" in authority:
        raise Refused(400, "A user name or password in the URL is not forwarded")
    if any(name in via.split() for via in members(request, b"via")):
        raise Refused(502, "The request came round to this proxy again", "proxy_loop_detected")
    if request.method in (b"OPTIONS", b"TRACE") and _no_more_hops(request):
        raise MaxForwardsReached(request)
    has_port = _HAS_PORT.search(url[1]) is not None
    try:
        return Address.parse(authority if has_port else authority.removesuffix(":") + ":80")
    except AddressError as error:
        raise Refused(400, f"The target is not valid: {error}") from None


def _no_more_hops(request: h11.Request) -> bool:
    """Whether Max-Forwards is 0, however many digits say so."""
    return any(value and not value.strip(b"0") for value in values(request, b"max-forwards"))


def _as_received(request: h11.Request) -> bytes:
    """Return a request's head as it came, without what is nobody else's business."""
    lines = [request.method + b" " + request.target + b" HTTP/" + request.http_version]
    lines += [
        name + b": " + value
        for name, value in request.headers.raw_items()
        if name.lower() not in SENSITIVE
    ]
    return b"\r\n".join([*lines, b"", b""])
