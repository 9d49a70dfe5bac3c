"""Reads chunked bodies (RFC 9112 section 7.1) in the place of h11's lenient reader."""

import re

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer

from netjumper.bridge.http.messages import MAX_FIELDS, MAX_HEAD_BYTES, Fields

MAX_SIZE_LINE_BYTES = 4096
"""Bytes in the line before a chunk, with its extensions."""
# One text for all faults: which of them is found first depends on how the bytes arrive.
_INVALID_LINE = "a line of its chunked body is not valid, too long, or ends without CRLF"

# Blanks around an extension are read, as RFC 9110 section 5.6.3 requires. Without control
# characters no other parser finds a line end in it.
_SIZE_LINE = re.compile(rb"0*([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_PART_OF_SIZE_LINE = re.compile(rb"(?:[0-9A-Fa-f]+[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r?)?")
_PART_OF_LINE_END = re.compile(rb"\r?")
_PART_OF_TRAILER = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+(?::[\t\x20-\x7e\x80-\xff]*\r?)?|\r?")
_TRAILER = re.compile(rb"([-!#$%&'*+.^_`|~0-9a-zA-Z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n")


def use_strict_chunks(connection: h11.Connection) -> None:
    """Read the body that follows strictly if it is chunked.

    Args:
        connection: it has just returned the head of a message.
    """
    if isinstance(connection._reader, ChunkedReader):  # h11 has no public hook
        connection._reader = StrictChunkedReader()


class StrictChunkedReader:
    """Reads chunks for h11, and rejects at once what can never become a chunk."""

    __slots__ = ("_left", "_line_end", "_trailer_bytes", "_trailers")

    def __init__(self) -> None:
        self._left = 0
        """Bytes of the current chunk that are not read yet."""
        self._line_end = False
        """Whether the line end after a chunk's data follows."""
        self._trailers: Fields | None = None
        self._trailer_bytes = 0

    def __call__(self, buffer: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        """Return the next event of the body; None if more bytes are needed.

        Raises:
            h11.LocalProtocolError: the body is not valid; h11 makes it a remote error.
        """
        starts = False
        if not self._left and self._trailers is None:
            if self._line_end and not self._skip_line_end(buffer):
                return None
            if (line := _next_line(buffer, MAX_SIZE_LINE_BYTES, _PART_OF_SIZE_LINE)) is None:
                return None
            size = _SIZE_LINE.fullmatch(line)
            if size is None:
                raise h11.LocalProtocolError(_INVALID_LINE)
            self._left, starts = int(size[1], 16), True
            if not self._left:
                self._trailers = []
        if self._trailers is not None:
            return self._read_trailers(buffer, self._trailers)
        data = buffer.maybe_extract_at_most(self._left)
        if data is None:
            return None
        self._left -= len(data)
        self._line_end = not self._left
        # A bytearray, as h11's own readers give: a copy would only cost time.
        return h11.Data(data=data, chunk_start=starts, chunk_end=self._line_end)  # type: ignore[arg-type]

    def read_eof(self) -> None:
        """Raise that the body is cut."""
        raise h11.RemoteProtocolError("the connection was closed within a chunked body")

    def _skip_line_end(self, buffer: ReceiveBuffer) -> bool:
        if _next_line(buffer, len(b"\r\n"), _PART_OF_LINE_END) is None:
            return False
        self._line_end = False
        return True

    def _read_trailers(self, buffer: ReceiveBuffer, trailers: Fields) -> h11.EndOfMessage | None:
        while line := _next_line(buffer, MAX_HEAD_BYTES - self._trailer_bytes, _PART_OF_TRAILER):
            if line == b"\r\n":
                return h11.EndOfMessage(headers=trailers)
            field = _TRAILER.fullmatch(line)
            if field is None:
                raise h11.LocalProtocolError(_INVALID_LINE)
            self._trailer_bytes += len(line)
            trailers.append((field[1], field[2]))
            if len(trailers) > MAX_FIELDS:
                raise h11.LocalProtocolError(f"it has over {MAX_FIELDS} trailers")
        return None


def _next_line(buffer: ReceiveBuffer, limit: int, part: re.Pattern[bytes]) -> bytes | None:
    """Return the next line with its CRLF; None if more bytes are needed.

    Args:
        buffer: the line is taken from here.
        limit: bytes in the line, at most.
        part: matches each part that such a line can begin with.
    """
    line = buffer.maybe_extract_next_line()
    if len(buffer if line is None else line) > limit:
        raise h11.LocalProtocolError(_INVALID_LINE)
    if line is None and part.fullmatch(bytes(buffer)) is None:
        raise h11.LocalProtocolError(_INVALID_LINE)
    return None if line is None else bytes(line)
