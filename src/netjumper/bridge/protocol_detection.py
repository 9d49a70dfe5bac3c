"""What was meant for another kind of port: the first byte tells, as far as the log is to know."""

SOCKS4, SOCKS5 = 4, 5
TLS_HANDSHAKE = 22
"""The first byte of a ClientHello's record (RFC 8446 section 5.1)."""

ELSEWHERE = "{} was spoken to a port for {}; give that program an address of {} or --mixed"
NO_TLS = (
    "TLS was spoken to a proxy's port, and no port of the bridge has it; its address begins with "
    "http:// or socks5h://, not https://"
)


def spoken_to_http(first: int) -> str:
    """Return a line about a connection to an HTTP port that began with that byte.

    It says what was spoken and where it should go; empty where that is not known, or where it
    may be HTTP.
    """
    if first == TLS_HANDSHAKE:
        return NO_TLS
    return ELSEWHERE.format("SOCKS", "HTTP", "--socks") if first in (SOCKS4, SOCKS5) else ""


def spoken_to_socks(first: int) -> str:
    """Return the same about a SOCKS port; HTTP's methods begin with an upper-case letter."""
    if first == TLS_HANDSHAKE:
        return NO_TLS
    is_http = ord("A") <= first <= ord("Z")
    return ELSEWHERE.format("HTTP", "SOCKS", "--http") if is_http else ""
