"""What a failure of TLS means: OpenSSL tells it by the names of its reasons only."""

import ssl

_NO_TLS = {
    *("HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNSUPPORTED_PROTOCOL"),
    "WRONG_VERSION_NUMBER",
}
"""What OpenSSL calls bytes that are no TLS, or none that is recent enough."""
_NO_KEY = "NO_SUITABLE_SIGNATURE_ALGORITHM"
"""What a server without a certificate finds where no key is offered that it knows."""
_REFUSED = "SSLV3_ALERT_HANDSHAKE_FAILURE"
"""What a client is told then."""


def is_no_tls(error: OSError) -> bool:
    """Whether the peer speaks no TLS, or none that is recent enough, or has left."""
    return isinstance(error, ssl.SSLEOFError) or _reason(error) in _NO_TLS


def is_alert(error: OSError) -> bool:
    """Whether it is the peer that refuses to go on."""
    return "ALERT" in _reason(error)


def is_no_key(error: OSError) -> bool:
    """Whether the peer, a server, has no certificate and knows no key that it was offered."""
    return _reason(error) == _REFUSED


def failure_of(error: ssl.SSLError) -> str:
    """Return what went wrong, for a sentence."""
    if (reason := _reason(error)) == _NO_KEY:
        return "no key was offered that is known"
    return (reason or str(error.strerror)).lower().replace("_", " ")


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or ""  # only OpenSSL gives it one
