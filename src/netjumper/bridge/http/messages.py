"""HTTP messages as h11 has them: the words that both of a proxy's sides need."""

from collections.abc import Iterator

import h11

MAX_HEAD = 64 * 1024

Fields = list[tuple[bytes, bytes]]
Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


def values(message: h11.Event, name: bytes) -> list[bytes]:
    """Return the values of the message's fields of that name, which is in lower case."""
    headers: Fields = getattr(message, "headers", [])
    return [value for known, value in headers if known == name]


def members(message: h11.Event, name: bytes) -> Iterator[bytes]:
    """Yield the members of the lists that the message's fields of that name are, in lower case."""
    for value in values(message, name):
        yield from (member for part in value.split(b",") if (member := part.strip().lower()))


def has_body(request: h11.Request) -> bool:
    """Return whether a body follows the request's head (RFC 9112 section 6)."""
    return bool(values(request, b"transfer-encoding")) or any(
        length.strip(b"0") for length in values(request, b"content-length")
    )


def structured_string(text: str) -> str:
    """Return what may stand in a structured field's string (RFC 8941 section 3.3.3)."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
