"""A strict parser of HTTP/1.1, which must accept all messages that the bridge writes.

It is independent of h11, which the bridge uses to read and to write: request smuggling exploits
parsers that find different messages in the same bytes (RFC 9112 section 11.2).
"""

import re
from dataclasses import dataclass

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te "
    b"transfer-encoding upgrade".split()
)
"""Fields that a proxy must not forward unchanged (RFC 9110 section 7.6.1)."""
NOT_IN_TRAILERS = HOP_BY_HOP | {b"content-length", b"host"}

Fields = list[tuple[bytes, bytes]]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/1\.1" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) ([^\r\n\0]*)")
_FIELD = re.compile(rb"(%s):(?: ([^\r\n\0]*))?" % _TOKEN)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})\r\n")


class Incomplete(Exception):
    """The message is incomplete."""


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        line: parts of the first line: method and target, or status and reason.
        fields: of its head, names in lower case.
        body: without its framing.
        trailers: of its body.
    """

    line: tuple[bytes, bytes]
    fields: Fields
    body: bytes = b""
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    def assert_forwardable(self) -> None:
        """Assert that all hop-by-hop fields are for framing or a change of protocol."""
        names = {name for name, _ in self.fields} & HOP_BY_HOP
        assert names <= {b"connection", b"upgrade", b"transfer-encoding"}, names
        assert not NOT_IN_TRAILERS & {name for name, _ in self.trailers}, self.trailers

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of the fields with a name, given in lower case."""
        return [value for known, value in self.fields if known == name]


class Reader:
    """Parses messages.

    Args:
        data: their bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._body = b""
        """The received part of the current body."""

    @property
    def is_at_end(self) -> bool:
        """Whether all bytes are parsed."""
        return self.at == len(self.data)

    def request(self) -> Message:
        """Parse a request.

        Raises:
            Incomplete: it is incomplete.
        """
        line, fields = self._head(_REQUEST_LINE)
        return self._framed(Message(line, fields), bodiless=True)

    def answer(self, method: bytes) -> tuple[Message, bool]:
        """Parse an answer, and return it with whether it can be complete.

        Args:
            method: of the request.

        Raises:
            Incomplete: its head is incomplete.
        """
        line, fields = self._head(_STATUS_LINE)
        message = Message(line, fields)
        if line[0] == b"204" or line[0] < b"200":  # RFC 9110 section 8.6, RFC 9112 section 6.1
            assert not message.values(b"content-length") + message.values(b"transfer-encoding")
            return message, True
        if method == b"HEAD" or line[0] == b"304":
            return message, True
        try:
            return self._framed(message, bodiless=False), True
        except Incomplete:
            self.at = len(self.data)
            return Message(line, fields, self._body), False

    def _head(self, first: re.Pattern[bytes]) -> tuple[tuple[bytes, bytes], Fields]:
        end = self.data.find(b"\r\n\r\n", self.at)
        if end < 0:
            raise Incomplete
        line, *rest = self.data[self.at : end].split(b"\r\n")
        self.at = end + 4
        match = first.fullmatch(line)
        assert match, f"invalid first line: {line!r}"
        return (match[1], match[2]), [_field(it) for it in rest]

    def _framed(self, message: Message, *, bodiless: bool) -> Message:
        self._body = b""
        lengths = message.values(b"content-length")
        codings = message.values(b"transfer-encoding")
        assert len(lengths) + len(codings) <= 1, f"framed twice: {message.fields}"
        if codings:
            assert codings == [b"chunked"], codings
            body, trailers = self._chunks()
            return Message(message.line, message.fields, body, trailers)
        if lengths:
            assert lengths[0].isdigit(), lengths
            return Message(message.line, message.fields, self._take(int(lengths[0])))
        rest = b"" if bodiless else self._take(len(self.data) - self.at)
        return Message(message.line, message.fields, rest)

    def _chunks(self) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
        while size := self._chunk_size():
            self._take(size)
            assert self._line() == b"", "a chunk without a line end"
        trailers = []
        while line := self._line():
            trailers.append(_field(line))
        return self._body, tuple(trailers)

    def _chunk_size(self) -> int:
        line = self._line()
        match = _CHUNK.fullmatch(line + b"\r\n")
        assert match, f"invalid chunk size: {line!r}"
        return int(match[1], 16)

    def _line(self) -> bytes:
        end = self.data.find(b"\r\n", self.at)
        if end < 0:
            raise Incomplete
        line, self.at = self.data[self.at : end], end + 2
        return line

    def _take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        self.at += len(piece)
        self._body += piece
        if len(piece) < count:
            raise Incomplete
        return self._body


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.fullmatch(line)
    assert match, f"invalid field: {line!r}"
    return match[1].lower(), match[2] or b""
