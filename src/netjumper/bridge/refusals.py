"""Which requests are not forwarded, and what their clients are told."""

import re

import h11

from netjumper.address import Address
from netjumper.bridge.fields import members, values
from netjumper.bridge.http_server import HttpServer
from netjumper.errors import AddressError, ProtocolError

WHAT_THIS_IS = (
    "This port is an HTTP proxy (netjumper-bridge), not a web server. Use it with "
    "http_proxy=http://HOST:PORT and HTTPS_PROXY=http://HOST:PORT, HOST:PORT being this port's. "
    "It forwards http:// URLs and does CONNECT for all others"
)

_HTTP_URL = re.compile(rb"http://([^/?#]*)(?:[/?][^#]*)?", re.IGNORECASE)
_HAS_PORT = re.compile(rb":[0-9]+$")


class Refused(ProtocolError):
    """A request that is answered here.

    Args:
        status: the answer's.
        sentence: for a person.
        error: the error type for Proxy-Status (RFC 9209 section 2.3).
    """

    def __init__(self, status: int, sentence: str, error: str = "http_request_error") -> None:
        super().__init__(sentence)
        self.status = status
        self.error = error

    def answer(self, server: HttpServer) -> None:
        """Tell the client."""
        server.refuse(self.status, str(self), self.error)


class MaxForwardsReached(Refused):
    """The last hop that an OPTIONS or TRACE may take is this one (RFC 9110 section 7.6.2)."""

    def __init__(self, request: h11.Request) -> None:
        super().__init__(200, "")
        self.request = request

    def answer(self, server: HttpServer) -> None:
        """Answer in the target's place."""
        if self.request.method == b"OPTIONS":
            server.answer(200, WHAT_THIS_IS, [(b"Connection", b"close")])
        else:
            server.refuse(501, "This proxy does not answer TRACE itself")


def check_forwardable(request: h11.Request, name: bytes) -> Address:
    """Return where a request is to be forwarded to.

    Args:
        request: as it came from the client.
        name: ours in Via.

    Raises:
        Refused: it is not forwarded.
    """
    if request.method == b"CONNECT":
        raise Refused(400, "A CONNECT needs a connection of its own, where it comes first")
    url = _HTTP_URL.fullmatch(request.target)
    if url is None:
        if request.target.startswith((b"/", b"*")):
            raise Refused(400, WHAT_THIS_IS)
        raise Refused(400, f"Only http:// URLs can be forwarded. {WHAT_THIS_IS}")
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
