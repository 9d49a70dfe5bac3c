"""Helpers for h11's HTTP messages, for both sides of the proxy."""

import re
from collections.abc import Iterator
from http import HTTPStatus

import h11

MAX_HEAD_BYTES = 64 * 1024
"""Bytes in the head of a message."""
MAX_FIELDS = 1000
"""Fields in the head of a message, or in its trailers."""

MAX_REASON = 240
"""Characters in the reason phrase of a failed CONNECT."""
_NOT_PRINTABLE = re.compile(rb"[^ -~]+")

Fields = list[tuple[bytes, bytes]]
Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]

# What no authority contains, though some programs would stop reading there, and its port.
_INVALID_HOST = re.compile(rb"[\x00- \"#,/<>?@[\]\\^`{|}\x7f]|:(?![0-9]*\Z)|:\Z")
_BRACKETED_HOST = re.compile(rb"\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\](?::[0-9]+)?")


def values(message: h11.Event, name: bytes) -> list[bytes]:
    """Return the values of all fields with this name, which must be in lower case."""
    headers: Fields = getattr(message, "headers", [])
    return [value for known, value in headers if known == name]


def members(message: h11.Event, name: bytes) -> Iterator[bytes]:
    """Yield, in lower case, the members of all list fields with this name."""
    for value in values(message, name):
        yield from (member for part in value.split(b",") if (member := part.strip().lower()))


def has_body(request: h11.Request) -> bool:
    """Return whether a body follows the request's head (RFC 9112 section 6)."""
    return bool(values(request, b"transfer-encoding")) or any(
        length.strip(b"0") for length in values(request, b"content-length")
    )


def structured_string(text: str) -> str:
    """Return the content of a structured field's string (RFC 8941 section 3.3.3), without quotes.

    Characters that are not allowed become question marks.
    """
    printable = "".join(c if " " <= c <= "~" else "?" for c in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"')


def is_valid_host(host: bytes) -> bool:
    """Return whether a Host field is empty, HOST or HOST:PORT (RFC 9112 section 3.2)."""
    if host.startswith(b"["):
        return _BRACKETED_HOST.fullmatch(host) is not None
    return _INVALID_HOST.search(host) is None


def reason_phrase(request: h11.Request | None, status: int, content: bytes) -> bytes:
    """Return the reason phrase of the bridge's own answer.

    Args:
        request: what is answered; None if it was not valid.
        status: the status of the answer.
        content: a line of text, which becomes the phrase if a CONNECT failed: many programs show
            nothing else.
    """
    failed = status == 403 or status >= 500  # not a faulty request
    if not failed or request is None or request.method != b"CONNECT":
        return HTTPStatus(status).phrase.encode("ascii")
    return _NOT_PRINTABLE.sub(b"?", content.strip())[:MAX_REASON].strip()
