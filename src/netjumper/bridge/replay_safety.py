"""First bytes that a target may get twice without harm."""

SAFE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
"""Of HTTP (RFC 9110 section 9.2.1): asking twice harms nothing."""
_TLS_HANDSHAKE = 22
_CLIENT_HELLO = b"\x01"


def is_replay_safe(data: bytes) -> bool:
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
