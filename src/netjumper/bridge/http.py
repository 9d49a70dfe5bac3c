"""HTTP as a proxy server: CONNECT (RFC 9110 section 9.3.6), parsed by h11.

What is not CONNECT is answered 501.
"""

import base64
import binascii
from collections.abc import Generator

import h11

from netjumper.address import Address, quoted
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.replies import BRIDGE, reply_for
from netjumper.errors import AddressError, AuthenticationError, ProtocolError
from netjumper.handshake import EndOfStream, ListeningHandshake
from netjumper.request import TunnelRequest

MAX_HEAD = 64 * 1024
MAX_GUESSES = 3
"""Wrong credentials on one connection; each connection's failure is a line in the log."""
REALM = b'Basic realm="netjumper-bridge", charset="UTF-8"'

Headers = list[tuple[bytes, bytes]]

REASONS = {
    400: b"Bad Request",
    403: b"Forbidden",
    407: b"Proxy Authentication Required",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}


class HttpHandshake(ListeningHandshake[TunnelRequest]):
    """Reads requests until one is a CONNECT that may be served.

    Args:
        credentials: who may come in (`Proxy-Authorization: Basic`); None lets everybody.
    """

    __slots__ = (
        "_connection",
        "_credentials",
        "_guesses",
        "_method",
        "_target",
        "_turned_away",
    )

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._credentials = credentials
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._method = b""
        self._target = ""
        self._turned_away = ""
        self._guesses = 0
        super().__init__()

    def accept(self) -> None:
        """Answer 200: what follows is the tunnel."""
        self._send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))

    def reject(self, error: Exception) -> None:
        """Answer with the status that fits, a line for people and Proxy-Status for programs."""
        reply = reply_for(error)
        hop = f'{reply.hop}; error={reply.proxy_error}; details="{_sf_text(str(error))}"'
        if reply.hop != BRIDGE:
            hop += f", {BRIDGE}"
        target = f" {self._target}" if self._target else ""
        self._answer(
            reply.http,
            f"{reply.sentence}{target}: {error}",
            [(b"Proxy-Status", hop.encode("ascii")), (b"Connection", b"close")],
        )

    def _steps(self) -> Generator[None, None, TunnelRequest]:
        while True:
            try:
                request = yield from self._read_request()
            except h11.RemoteProtocolError as error:
                # What stands behind is the line itself, and a password may be in it.
                what = str(error).partition(": b")[0]
                self._refuse(error.error_status_hint, f"The request is not valid: {what}")
                raise ProtocolError(f"not a valid HTTP request: {what}") from None
            if request.method != b"CONNECT":
                method = quoted(request.method.decode("latin-1"), 20)
                self._refuse(501, f"This proxy supports only CONNECT, not {method}")
                raise ProtocolError(f"method {method} is not supported, only CONNECT")
            user = self._user(request)
            if user is None:
                self._ask_for_credentials(request)
                continue
            try:
                target = _connect_target(request)
            except AddressError as error:
                self.reject(error)
                raise
            self._target = str(target)
            self._incoming[:0] = self._connection.trailing_data[0]
            return TunnelRequest(target, user)

    def _read_request(self) -> Generator[None, None, h11.Request]:
        size = self._unparsed_size()
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            size += yield from self._feed()
        if not isinstance(event, h11.Request):
            if self._turned_away:
                raise AuthenticationError(self._turned_away)
            raise EndOfStream("the client closed the connection without a request")
        self._method = event.method
        # h11 limits a head only as long as it is incomplete.
        if size - self._unparsed_size() > MAX_HEAD:
            self._refuse(431, f"The request's head is over {MAX_HEAD} bytes")
            raise ProtocolError(f"a request with a head of over {MAX_HEAD} bytes")
        if _has_body(event) and event.method == b"CONNECT":
            self._refuse(400, "A CONNECT request carries no body")
            raise ProtocolError("a CONNECT request with a body")
        if event.method == b"CONNECT":
            self._connection.next_event()  # its end of message: it has no body
        return event

    def _feed(self) -> Generator[None, None, int]:
        data = yield from self._read_some()
        self._connection.receive_data(data)
        return len(data)

    def _unparsed_size(self) -> int:
        return len(self._connection.trailing_data[0])

    def _user(self, request: h11.Request) -> str | None:
        """Return the user's proven name, empty where none is asked for; None: not let in."""
        given = [value for name, value in request.headers if name == b"proxy-authorization"]
        user, password = _basic(given[0]) if len(given) == 1 else (b"", b"")
        if self._credentials is None:
            return ""  # a name that nobody checked is nobody's
        return user.decode("utf-8", "replace") if self._credentials.check(user, password) else None

    def _ask_for_credentials(self, request: h11.Request) -> None:
        """Answer 407 and make ready for the retry on the same connection."""
        self._turned_away = "no proxy credentials were given"
        if any(name == b"proxy-authorization" for name, _ in request.headers):
            self._turned_away = "wrong proxy credentials"
            self._guesses += 1
        self._answer(
            407,
            "This proxy wants a user name and a password",
            [(b"Proxy-Authenticate", REALM)],
        )
        if self._connection.our_state is not h11.DONE or self._guesses >= MAX_GUESSES:
            raise AuthenticationError(self._turned_away)
        self._connection.start_next_cycle()

    def _refuse(self, status: int, sentence: str) -> None:
        hop = f"{BRIDGE}; error=http_request_error"
        self._answer(
            status,
            sentence,
            [(b"Proxy-Status", hop.encode("ascii")), (b"Connection", b"close")],
        )

    def _answer(self, status: int, sentence: str, headers: Headers) -> None:
        body = "".join(c if c.isprintable() else "?" for c in sentence).encode() + b"\n"
        self._send(
            h11.Response(
                status_code=status,
                reason=REASONS.get(status, b"Error"),
                headers=[
                    (b"Content-Type", b"text/plain; charset=utf-8"),
                    (b"Content-Length", str(len(body)).encode()),
                    *headers,
                ],
            )
        )
        if self._method != b"HEAD":  # RFC 9110 section 9.3.2
            self._send(h11.Data(data=body))
        self._send(h11.EndOfMessage())

    def _send(self, event: h11.Event) -> None:
        self._write(self._connection.send(event) or b"")


def _connect_target(request: h11.Request) -> Address:
    """Return the target of a CONNECT, which is in authority-form only (RFC 9112 section 3.2.3)."""
    return Address.parse(request.target.decode("latin-1"))


def _has_body(request: h11.Request) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        for name, value in request.headers
    )


def _basic(field: bytes) -> tuple[bytes, bytes]:
    """Return user and password out of a `Basic` field (RFC 7617), empty when it is none."""
    scheme, _, token = field.partition(b" ")
    if scheme.lower() != b"basic":
        return b"", b""
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except binascii.Error:
        return b"", b""
    return (user, password) if colon else (b"", b"")


def _sf_text(text: str) -> str:
    """Return what may stand in a structured field's string (RFC 8941 section 3.3.3)."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
