"""Early data: what leaves for a target before the jump server has said that it is reached.

A program that is told at once that its tunnel stands sends its first bytes at once; they travel
with the destination, and the answer is back after one round trip instead of two. It is told so
where that is as good as certain: the target was reached a short while ago.
"""

from enum import StrEnum

from netjumper.addressing.address import Address

KNOWN_FOR = 300.0
"""Seconds that a target which was reached is expected to be reached again."""
MOST_KNOWN = 4096

SAFE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
"""Of HTTP (RFC 9110 section 9.2.1): asking twice harms nothing."""

_TLS_HANDSHAKE = 22
_CLIENT_HELLO = b"\x01"


class EarlyData(StrEnum):
    """Which targets programs are told to have reached before that is known."""

    NEVER = "never"
    KNOWN = "known"
    """Those that were reached a short while ago."""
    ALWAYS = "always"


class KnownTargets:
    """Remembers which targets were reached; it has no clock of its own.

    Args:
        which: which of them are expected to be reached.
    """

    __slots__ = ("_until", "_which")

    def __init__(self, which: EarlyData) -> None:
        self._which = which
        self._until: dict[Address, float] = {}  # in the order of their ends

    def expects(self, target: Address, now: float) -> bool:
        """Whether a tunnel there is as good as certain; `now` is in seconds."""
        if self._which is EarlyData.KNOWN:
            return self._until.get(target, now) > now
        return self._which is EarlyData.ALWAYS

    def worked(self, target: Address, now: float) -> None:
        """Note that a target was reached."""
        self._until.pop(target, None)
        self._until[target] = now + KNOWN_FOR
        if len(self._until) > MOST_KNOWN:
            del self._until[next(iter(self._until))]

    def failed(self, target: Address) -> None:
        """Note that it was not."""
        self._until.pop(target, None)


def may_be_repeated(data: bytes) -> bool:
    """Whether a target that gets a connection's first bytes twice is as it was with them once.

    So it is with a TLS ClientHello, and with a request of a safe HTTP method.
    """
    return not data or _is_client_hello(data) or _is_safe_request(data)


def _is_client_hello(data: bytes) -> bool:
    """RFC 8446 section 5.1; what can follow in records of another type is 0-RTT data."""
    at = 0
    while at < len(data):
        if data[at] != _TLS_HANDSHAKE:
            return False
        at += 5 + int.from_bytes(data[at + 3 : at + 5])
    return data[5:6] in (b"", _CLIENT_HELLO)


def _is_safe_request(data: bytes) -> bool:
    """With nothing behind its head; what looks like one may be another protocol's command."""
    # A bare LF ends a line for many servers (RFC 9112 section 2.2).
    head, _, more = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    line, is_whole, _ = head.partition(b"\n")
    return (
        not more
        and line.partition(b" ")[0] in SAFE_METHODS
        and (not is_whole or b" HTTP/1." in line)
    )
