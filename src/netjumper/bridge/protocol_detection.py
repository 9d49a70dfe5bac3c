"""Detects, by its first byte, a client that speaks another protocol than its listener."""

SOCKS4, SOCKS5 = 4, 5
"""The version bytes that SOCKS begins with."""
TLS_HANDSHAKE = 22
"""The first byte of a ClientHello's record (RFC 8446 section 5.1)."""

WRONG_LISTENER = (
    "{} was sent to a listener for {}; configure the client with the address of {} or --mixed"
)
TLS_NOT_ACCEPTED = (
    "TLS was sent to a proxy listener, which does not accept it; configure the client with "
    "http:// or socks5h://, not https://"
)


def describe_for_http(first: int) -> str:
    """Return a message about a connection to an HTTP listener that begins with this byte.

    The message says which protocol was sent and which listener accepts it. It is empty if the
    protocol is unknown or may be HTTP.
    """
    if first == TLS_HANDSHAKE:
        return TLS_NOT_ACCEPTED
    return WRONG_LISTENER.format("SOCKS", "HTTP", "--socks") if first in (SOCKS4, SOCKS5) else ""


def describe_for_socks(first: int) -> str:
    """Return a message about a connection to a SOCKS listener that begins with this byte.

    It is empty if the protocol is unknown. HTTP methods begin with an upper-case letter.
    """
    if first == TLS_HANDSHAKE:
        return TLS_NOT_ACCEPTED
    is_http = ord("A") <= first <= ord("Z")
    return WRONG_LISTENER.format("HTTP", "SOCKS", "--http") if is_http else ""
