"""The server side of HTTP/1.1 as a proxy needs it: h11, stricter heads, credentials, answers."""

import re
from http import HTTPStatus

import h11

from netjumper.bridge.credentials import Credentials, parse_basic_auth
from netjumper.bridge.http.messages import (
    MAX_HEAD,
    Event,
    Fields,
    has_body,
    structured_string,
    values,
)
from netjumper.bridge.protocol_detection import spoken_to_http
from netjumper.bridge.replies import BRIDGE, reply_for
from netjumper.errors import AuthenticationError, ProtocolError

MAX_GUESSES = 3
"""Wrong credentials on one connection; each connection's failure is a line in the log."""
TEXT = b"text/plain; charset=utf-8"
REALM = b'Basic realm="netjumper-bridge", charset="UTF-8"'

# RFC 9112 sections 2.2 and 5.2: with these two readers can see two different messages.
_AMBIGUOUS = re.compile(rb"\r(?!\n|\Z)|\n[ \t]")
_LENGTH = re.compile(rb"\ncontent-length:([^\n]*)", re.IGNORECASE)
_RAW = re.compile(rb"[\x80-\xff]")
_HEAD_END = re.compile(rb"\n\r?\n")
_EMPTY_LINES, _LAST_LINES = re.compile(rb"(?:\r?\n)+"), re.compile(rb"(?:\r?\n|\r\Z)+")


class HttpServerConnection:
    """One client connection, request after request; sans-IO.

    Args:
        credentials: who may come in (`Proxy-Authorization: Basic`); None lets everybody.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_credentials",
        "_guesses",
        "_outgoing",
        "_request",
        "turned_away",
    )

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._credentials = credentials
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._outgoing = bytearray()
        self._request: h11.Request | None = None
        self._chunked = False
        self._guesses = 0
        self.turned_away = ""
        """Why the last request was not let in; empty when it was."""

    @property
    def between_requests(self) -> bool:
        """Whether the next thing to come is a request."""
        return self._connection.their_state is h11.IDLE

    @property
    def speaks_1_1(self) -> bool:
        """Whether the client knows what HTTP/1.0 had not: 1xx answers, chunks, trailers."""
        return (self._connection.their_http_version or b"1.0") >= b"1.1"

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the client; `b""` is the end of the stream."""
        self._connection.receive_data(data)
        if self.between_requests:
            self._skip_empty_lines()

    def trailing_data(self) -> bytes:
        """Return what no event has come out of."""
        return self._connection.trailing_data[0]

    def data_to_send(self) -> bytes:
        """Return the bytes to send now, each once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def next_event(self) -> Event:
        """Return what came, as h11's own events.

        Raises:
            ProtocolError: it is no valid HTTP; the answer is in `data_to_send`.
        """
        try:
            if self.between_requests:
                if self._connection.trailing_data == (b"\r", False):
                    return h11.NEED_DATA  # half an empty line, which h11 takes for a wrong method
                self._check_head()
            event = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            # What stands behind is the line itself, and a password may be in it.
            what = str(error).partition(": b")[0]
            if self._connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self.refuse(error.error_status_hint, f"The request is not valid: {what}")
            raise ProtocolError(f"not a valid HTTP request: {what}") from None
        if isinstance(event, h11.Request):
            self._request = event
            self._check(event)
        return event

    def send(self, event: h11.Event) -> None:
        """Add an event to what `data_to_send` returns."""
        if isinstance(event, h11.Response):
            self._chunked = self._will_be_chunked(event)
        self._outgoing += self._connection.send(event) or b""

    @property
    def answered_all(self) -> bool:
        """Whether no answer is cut in its middle when nothing more is sent."""
        return self._connection.our_state is not h11.SEND_BODY

    def end_answer(self, trailers: Fields) -> None:
        """Send the end of an answer, with trailers where there are chunks to carry them."""
        self.send(h11.EndOfMessage(headers=trailers if self._chunked else []))

    def start_next_cycle(self) -> bool:
        """Make ready for another request; False when there can be none on this connection."""
        if self._connection.our_state is not h11.DONE:
            return False
        self._connection.start_next_cycle()
        self._request = None
        self._skip_empty_lines()
        return True

    def user(self, request: h11.Request) -> str | None:
        """Return the user's proven name, empty where none is asked for; None: not let in."""
        if self._credentials is None:
            return ""  # a name that nobody checked is nobody's
        given = values(request, b"proxy-authorization")
        user, password = parse_basic_auth(given[0]) if len(given) == 1 else (b"", b"")
        if self._credentials.check(user, password):
            self.turned_away = ""
            return user.decode("utf-8", "replace")
        self.turned_away = "wrong proxy credentials" if given else "no proxy credentials were given"
        self._guesses += bool(given)
        return None

    def ask_for_credentials(self, request: h11.Request) -> None:
        """Answer 407, and make ready for the retry on the same connection.

        Raises:
            AuthenticationError: there can be no retry, or there were enough.
        """
        last = self._guesses >= MAX_GUESSES or has_body(request)
        close: Fields = [(b"Connection", b"close")] if last else []
        self.answer(
            407,
            "This proxy wants a user name and a password",
            [(b"Proxy-Authenticate", REALM), *close],
        )
        if not last:
            self._connection.next_event()  # the end of a message without a body
        if last or not self.start_next_cycle():
            raise AuthenticationError(self.turned_away)

    def fail(self, error: Exception, target: str = "") -> None:
        """Answer with the status that fits, a line for people and Proxy-Status for programs.

        Args:
            error: why there is no tunnel, or no answer of the target's.
            target: where it should have led, where that is known.
        """
        reply = reply_for(error)
        hop = f'{reply.hop}; error={reply.proxy_error}; details="{structured_string(str(error))}"'
        if reply.hop != BRIDGE:
            hop += f", {BRIDGE}"
        self.answer(
            reply.http,
            f"{' '.join(filter(None, (reply.sentence, target)))}: {error}",
            [(b"Proxy-Status", hop.encode("ascii")), (b"Connection", b"close")],
        )

    def refuse(self, status: int, sentence: str, error: str = "http_request_error") -> None:
        """Answer that the request will not do, on the bridge's own account, and be done.

        Args:
            status: the answer's.
            sentence: for a person.
            error: the error type for Proxy-Status (RFC 9209 section 2.3).
        """
        hop = f"{BRIDGE}; error={error}"
        self.answer(
            status,
            sentence,
            [(b"Proxy-Status", hop.encode("ascii")), (b"Connection", b"close")],
        )

    def answer(self, status: int, sentence: str, fields: Fields) -> None:
        """Answer with a line of text.

        Args:
            status: the answer's.
            sentence: for a person, in one line.
            fields: further ones.
        """
        line = "".join(c if c.isprintable() else "?" for c in sentence).encode() + b"\n"
        self.send_content(status, TEXT, line, fields)

    def send_content(self, status: int, media_type: bytes, content: bytes, fields: Fields) -> None:
        """Answer with a message that is all here.

        Args:
            status: the answer's.
            media_type: the content's.
            content: the body; left out where the request was a HEAD.
            fields: further ones.
        """
        self.send(
            h11.Response(
                status_code=status,
                reason=HTTPStatus(status).phrase.encode("ascii"),
                headers=[
                    (b"Content-Type", media_type),
                    (b"Content-Length", str(len(content)).encode()),
                    *fields,
                ],
            )
        )
        if self._request is None or self._request.method != b"HEAD":  # RFC 9110 section 9.3.2
            self.send(h11.Data(data=content))
        self.send(h11.EndOfMessage())

    def _skip_empty_lines(self) -> None:
        """Some clients end a request with one too many (RFC 9112 section 2.2)."""
        held, ended = self._connection.trailing_data
        if lines := (_LAST_LINES if ended else _EMPTY_LINES).match(held):
            self._begin_anew(held[lines.end() :], ended)

    def _check_head(self) -> None:
        held = self.trailing_data()
        if held and (other := spoken_to_http(held[0])):
            raise h11.RemoteProtocolError(other)
        end = _HEAD_END.search(held)
        head = held[: end.end()] if end else held
        if len(head) > MAX_HEAD:
            raise h11.RemoteProtocolError(f"its head is over {MAX_HEAD} bytes", 431)
        if _AMBIGUOUS.search(head):
            raise h11.RemoteProtocolError("a bare CR or a folded line in its head")
        lengths = _LENGTH.findall(head)
        if len(lengths) > 1 or any(b"," in length for length in lengths):
            raise h11.RemoteProtocolError("a repeated Content-Length")
        if end is not None and not head.isascii():
            self._encode_target(held)

    def _encode_target(self, held: bytes) -> None:
        """Percent-encode what no URL has (RFC 3986 section 2.1); curl and others send it raw."""
        line, newline, rest = held.partition(b"\n")
        method, space, target = line.partition(b" ")
        if target.isascii() or method == b"CONNECT":
            return
        ended = self._connection.trailing_data[1]
        encoded = _RAW.sub(lambda raw: b"%%%02X" % raw[0][0], target)
        self._begin_anew(method + space + encoded + newline + rest, ended)

    def _begin_anew(self, held: bytes, ended: bool) -> None:
        """h11 lets nobody change what it holds, but between two requests a new one is as good."""
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        if held:
            self._connection.receive_data(held)
        if ended:
            self._connection.receive_data(b"")

    def _will_be_chunked(self, answer: h11.Response) -> bool:
        """Whether h11 frames an answer's body as chunks: where nothing says how long it is."""
        if answer.status_code in (204, 304) or not self.speaks_1_1:
            return False
        if self._request is not None and self._request.method == b"HEAD":
            return False
        return not values(answer, b"content-length")

    def _check(self, request: h11.Request) -> None:
        if not request.http_version.startswith(b"1."):
            self.refuse(505, "This proxy speaks HTTP/1.0 and HTTP/1.1")
            raise ProtocolError(f"a request of HTTP/{request.http_version.decode()}")
        # RFC 9112 section 6.1: beside a transfer coding both are an attack's mark.
        odd = "" if self.speaks_1_1 else "HTTP/1.0"
        odd = "Content-Length" if values(request, b"content-length") else odd
        if odd and values(request, b"transfer-encoding"):
            self.refuse(400, f"{odd} and Transfer-Encoding contradict each other")
            raise ProtocolError(f"a request with both {odd} and Transfer-Encoding")
