"""The server side of HTTP/1.1, sans-I/O: h11 with stricter heads, authentication, own answers."""

import re

import h11

from netjumper.bridge.credentials import Credentials, parse_basic_auth
from netjumper.bridge.http.chunks import use_strict_chunks
from netjumper.bridge.http.messages import (
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    Event,
    Fields,
    has_body,
    is_valid_host,
    reason_phrase,
    structured_string,
    values,
)
from netjumper.bridge.protocol_detection import describe_for_http
from netjumper.bridge.replies import BRIDGE, reply_for
from netjumper.errors import AuthenticationError, CredentialsMissing, ProtocolError

NO_CREDENTIALS = "This proxy requires a user name and a password"
WRONG_CREDENTIALS = "The user name or password for this proxy is wrong"
TEXT_PLAIN = b"text/plain; charset=utf-8"
BASIC_CHALLENGE = b'Basic realm="netjumper-bridge", charset="UTF-8"'

# RFC 9112 sections 2.2 and 5.2: two parsers can read such a head as two different messages.
_AMBIGUOUS = re.compile(rb"\r(?!\n|\Z)|\n[ \t]")
_LENGTH = re.compile(rb"\ncontent-length:([^\n]*)", re.IGNORECASE)
# These requests name their target, so a Host field adds nothing (RFC 9112 section 3.2.2).
_ABSOLUTE = re.compile(rb"CONNECT |[^ \r\n]+ (?:http|ws)://", re.IGNORECASE)
_HOST = re.compile(rb"\nhost[ \t]*:", re.IGNORECASE)
_RAW = re.compile(rb"[\x80-\xff]")
_HEAD_END = re.compile(rb"\n\r?\n")
_EMPTY_LINES, _LAST_LINES = re.compile(rb"(?:\r?\n)+"), re.compile(rb"(?:\r?\n|\r\Z)+")


class HttpServerConnection:
    """A client's connection, for one request after the other.

    Args:
        credentials: checked against `Proxy-Authorization: Basic`; None accepts every client.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_credentials",
        "_outgoing",
        "_request",
        "auth_error",
    )

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._credentials = credentials
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._outgoing = bytearray()
        self._request: h11.Request | None = None
        self._chunked = False
        self.auth_error: AuthenticationError | CredentialsMissing | None = None
        """Why the authentication of the last request failed; None if it did not."""

    @property
    def between_requests(self) -> bool:
        """Whether the next event is a new request."""
        return self._connection.their_state is h11.IDLE

    @property
    def speaks_1_1(self) -> bool:
        """Whether the client understands 1xx answers, chunks and trailers, unlike HTTP/1.0."""
        return (self._connection.their_http_version or b"1.0") >= b"1.1"

    def receive_data(self, data: bytes) -> None:
        """Process bytes from the client; `b""` is the end of the stream."""
        self._connection.receive_data(data)
        if self.between_requests:
            self._skip_empty_lines()

    def trailing_data(self) -> bytes:
        """Return the bytes that are in no event yet."""
        return self._connection.trailing_data[0]

    def data_to_send(self) -> bytes:
        """Return the queued bytes and empty the queue."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def next_event(self) -> Event:
        """Return the next event of h11.

        Raises:
            ProtocolError: the bytes are not valid HTTP; `data_to_send` returns the answer.
        """
        try:
            if self.between_requests:
                if self._connection.trailing_data == (b"\r", False):
                    return h11.NEED_DATA  # half an empty line, which h11 would reject as a method
                self._check_head()
            event = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            # After the colon, h11 quotes the line itself, which may contain a password.
            reason = str(error).partition(": b")[0]
            if self._connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self.refuse(error.error_status_hint, f"The request is not valid: {reason}")
            raise ProtocolError(f"not a valid HTTP request: {reason}") from None
        if isinstance(event, h11.Request):
            self._request = event
            use_strict_chunks(self._connection)
            self._check(event)
        return event

    def send(self, event: h11.Event) -> None:
        """Queue an event for `data_to_send`."""
        if isinstance(event, h11.Response):
            self._chunked = self._will_be_chunked(event)
        self._outgoing += self._connection.send(event) or b""

    @property
    def answered_all(self) -> bool:
        """Whether the connection can be closed without cutting an answer."""
        return self._connection.our_state is not h11.SEND_BODY

    def end_answer(self, trailers: Fields) -> None:
        """Send the end of an answer; trailers only if the body is chunked."""
        self.send(h11.EndOfMessage(headers=trailers if self._chunked else []))

    def start_next_cycle(self) -> bool:
        """Prepare for another request; return False if this connection can serve none."""
        if self._connection.our_state is not h11.DONE:
            return False
        self._connection.start_next_cycle()
        self._request = None
        self._skip_empty_lines()
        return True

    def user(self, request: h11.Request) -> str | None:
        """Return the authenticated user name, empty without authentication; None if it failed."""
        if self._credentials is None:
            return ""  # without a check, the name proves nothing
        given = values(request, b"proxy-authorization")
        user, password = parse_basic_auth(given[0]) if len(given) == 1 else (b"", b"")
        if self._credentials.check(user, password):
            self.auth_error = None
            return user.decode("utf-8", "replace")
        if user or password:
            self.auth_error = AuthenticationError("wrong proxy credentials")
        elif given:
            self.auth_error = CredentialsMissing("no proxy credentials in a Basic field")
        else:
            self.auth_error = CredentialsMissing("no proxy credentials were given")
        return None

    def ask_for_credentials(self, request: h11.Request) -> None:
        """Answer 407, and prepare for a retry on the same connection.

        Raises:
            AuthenticationError: the credentials were wrong.
            CredentialsMissing: there were none, and no retry is possible.
        """
        error = self.auth_error
        assert error is not None  # noqa: S101 - `user` has found it
        last = isinstance(error, AuthenticationError) or has_body(request)
        close: Fields = [(b"Connection", b"close")] if last else []
        self.answer(
            407,
            WRONG_CREDENTIALS if values(request, b"proxy-authorization") else NO_CREDENTIALS,
            [(b"Proxy-Authenticate", BASIC_CHALLENGE), *close],
        )
        if not last:
            self._connection.next_event()  # the end of a message without a body
        if last or not self.start_next_cycle():
            raise error

    def fail(self, error: Exception, target: str = "") -> None:
        """Answer with the error's status, a line of text, and a Proxy-Status field.

        Args:
            error: why there is no tunnel, or no answer from the target.
            target: the target, if it is known.
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
        """Answer that the bridge rejects the request, and close the connection.

        Args:
            status: the status of the answer.
            sentence: the text for a person.
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
            status: the status of the answer.
            sentence: the text for a person, in one line.
            fields: additional fields.
        """
        line = "".join(c if c.isprintable() else "?" for c in sentence).encode() + b"\n"
        self.send_content(status, TEXT_PLAIN, line, fields)

    def send_content(self, status: int, media_type: bytes, content: bytes, fields: Fields) -> None:
        """Answer with a complete message.

        Args:
            status: the status of the answer.
            media_type: the type of the content.
            content: the body; not sent in an answer to HEAD.
            fields: additional fields.
        """
        self.send(
            h11.Response(
                status_code=status,
                reason=reason_phrase(self._request, status, content),
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
        """Skip the empty line that some clients add to a request (RFC 9112 section 2.2)."""
        held, ended = self._connection.trailing_data
        if lines := (_LAST_LINES if ended else _EMPTY_LINES).match(held):
            self._restart_parser(held[lines.end() :], ended)

    def _check_head(self) -> None:
        held = self.trailing_data()
        if held and (hint := describe_for_http(held[0])):
            raise h11.RemoteProtocolError(hint)
        end = _HEAD_END.search(held)
        head = held[: end.end()] if end else held
        if len(head) > MAX_HEAD_BYTES:
            raise h11.RemoteProtocolError(f"its head is over {MAX_HEAD_BYTES} bytes", 431)
        if head.count(b"\n") > MAX_FIELDS + 2:  # with the request line and the empty line
            raise h11.RemoteProtocolError(f"it has over {MAX_FIELDS} fields", 431)
        if _AMBIGUOUS.search(head):
            raise h11.RemoteProtocolError("a bare CR or a folded line in its head")
        lengths = _LENGTH.findall(head)
        if len(lengths) > 1 or any(b"," in length for length in lengths):
            raise h11.RemoteProtocolError("a repeated Content-Length")
        if end is not None and not head.isascii():
            self._encode_target(held)
        if end is not None and not _HOST.search(head) and _ABSOLUTE.match(head):
            self._add_host()

    def _add_host(self) -> None:
        """Add the Host field that some clients leave out, empty."""
        held, ended = self._connection.trailing_data
        line, newline, rest = held.partition(b"\n")
        self._restart_parser(line + newline + b"Host:\r\n" + rest, ended)

    def _encode_target(self, held: bytes) -> None:
        """Percent-encode bytes that are not valid in a URL (RFC 3986 section 2.1).

        curl and others send them raw.
        """
        line, newline, rest = held.partition(b"\n")
        method, space, target = line.partition(b" ")
        if target.isascii() or method == b"CONNECT":
            return
        ended = self._connection.trailing_data[1]
        encoded = _RAW.sub(lambda raw: b"%%%02X" % raw[0][0], target)
        self._restart_parser(method + space + encoded + newline + rest, ended)

    def _restart_parser(self, held: bytes, ended: bool) -> None:
        """Replace the buffer of h11 by a new connection, which is equal between two requests."""
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        if held:
            self._connection.receive_data(held)
        if ended:
            self._connection.receive_data(b"")

    def _will_be_chunked(self, answer: h11.Response) -> bool:
        """Return whether h11 sends the answer's body in chunks, as its length is not given."""
        if answer.status_code in (204, 304) or not self.speaks_1_1:
            return False
        if self._request is not None and self._request.method == b"HEAD":
            return False
        return not values(answer, b"content-length")

    def _check(self, request: h11.Request) -> None:
        if not request.http_version.startswith(b"1."):
            self.refuse(505, "This proxy supports HTTP/1.0 and HTTP/1.1")
            raise ProtocolError(f"a request with HTTP/{request.http_version.decode()}")
        # RFC 9112 section 6.1: beside a transfer coding, both indicate an attack.
        conflict = "" if self.speaks_1_1 else "HTTP/1.0"
        conflict = "Content-Length" if values(request, b"content-length") else conflict
        if conflict and values(request, b"transfer-encoding"):
            self.refuse(400, f"{conflict} and Transfer-Encoding contradict each other")
            raise ProtocolError(f"a request with both {conflict} and Transfer-Encoding")
        # RFC 9112 section 3.2: another value is never replaced in silence.
        if any(not is_valid_host(host) for host in values(request, b"host")):
            self.refuse(400, "The Host field is not valid: expected HOST or HOST:PORT")
            raise ProtocolError("a request with an invalid Host field")
