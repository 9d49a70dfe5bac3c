"""Decides whether a connection's first bytes may be sent to a target twice (RFC 8470)."""

from netjumper.bridge.protocol_detection import TLS_HANDSHAKE

SAFE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
"""The safe methods of HTTP (RFC 9110 section 9.2.1): to repeat a request does no harm."""
_CLIENT_HELLO = b"\x01"


def is_replay_safe(data: bytes) -> bool:
    """Return whether a target that receives these first bytes twice is not changed by it.

    This holds for a TLS ClientHello, and for a request with a safe HTTP method.
    """
    return not data or _is_client_hello(data) or _is_safe_request(data)


def _is_client_hello(data: bytes) -> bool:
    """RFC 8446 section 5.1; records of another type that follow can be 0-RTT data."""
    at = 0
    while at < len(data):
        if data[at] != TLS_HANDSHAKE:
            return False
        at += 5 + int.from_bytes(data[at + 3 : at + 5])
    return data[5:6] in (b"", _CLIENT_HELLO)


def _is_safe_request(data: bytes) -> bool:
    """Nothing may follow the head: it could be a command of another protocol."""
    # Many servers accept a bare LF as the end of a line (RFC 9112 section 2.2).
    head, _, more = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    line, is_whole, _ = head.partition(b"\n")
    return (
        not more
        and line.partition(b" ")[0] in SAFE_METHODS
        and (not is_whole or b" HTTP/1." in line)
    )
