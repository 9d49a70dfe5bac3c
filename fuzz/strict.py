"""A reader of HTTP/1.1 messages that forgives nothing: what the bridge writes must pass it.

It is not h11, which both reads and writes in the bridge: two readers that see two messages in the
same bytes are what request smuggling lives on (RFC 9112 section 11.2).
"""

import re
from dataclasses import dataclass

BETWEEN_TWO_HOPS = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te "
    b"transfer-encoding upgrade".split()
)
"""What a proxy does not pass on as it came (RFC 9110 section 7.6.1)."""
NOT_IN_TRAILERS = BETWEEN_TWO_HOPS | {b"content-length", b"host"}

Fields = list[tuple[bytes, bytes]]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/1\.1" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) ([^\r\n\0]*)")
_FIELD = re.compile(rb"(%s):(?: ([^\r\n\0]*))?" % _TOKEN)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})\r\n")


class Incomplete(Exception):
    """The bytes end before the message does."""


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        line: its first line's parts: method and target, or status and reason.
        fields: of its head, names in lower case.
        body: its body, without what frames it.
        trailers: of its body.
    """

    line: tuple[bytes, bytes]
    fields: Fields
    body: bytes = b""
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    def hold_passed_on(self) -> None:
        """Nothing is in it that is between two hops, but for what frames it or changes protocol."""
        names = {name for name, _ in self.fields} & BETWEEN_TWO_HOPS
        assert names <= {b"connection", b"upgrade", b"transfer-encoding"}, names
        assert not NOT_IN_TRAILERS & {name for name, _ in self.trailers}, self.trailers

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of the fields of that name, which is in lower case."""
        return [value for known, value in self.fields if known == name]


class Reader:
    """Reads messages out of bytes.

    Args:
        data: what was written.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._body = b""
        """What is there of the body that is being read."""

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self.at == len(self.data)

    def request(self) -> Message:
        """Read a request.

        Raises:
            Incomplete: there is not all of it.
        """
        line, fields = self._head(_REQUEST_LINE)
        return self._framed(Message(line, fields), bodiless=True)

    def answer(self, method: bytes) -> tuple[Message, bool]:
        """Read an answer, and return whether all of it is here, or may be.

        Args:
            method: the request's.

        Raises:
            Incomplete: there is not all of its head.
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
        found = first.fullmatch(line)
        assert found, f"no first line: {line!r}"
        return (found[1], found[2]), [_field(it) for it in rest]

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
            assert self._line() == b"", "a chunk does not end"
        trailers = []
        while line := self._line():
            trailers.append(_field(line))
        return self._body, tuple(trailers)

    def _chunk_size(self) -> int:
        line = self._line()
        found = _CHUNK.fullmatch(line + b"\r\n")
        assert found, f"no chunk's size: {line!r}"
        return int(found[1], 16)

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
    found = _FIELD.fullmatch(line)
    assert found, f"no field: {line!r}"
    return found[1].lower(), found[2] or b""
