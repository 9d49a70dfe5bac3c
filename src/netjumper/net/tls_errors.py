"""What a failure of TLS means: OpenSSL tells it by the names of its reasons only."""

import ssl

_NO_TLS = {
    *("HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNSUPPORTED_PROTOCOL"),
    "WRONG_VERSION_NUMBER",
}
"""What OpenSSL calls bytes that are no TLS, or none that is recent enough."""
_CLEARER = {
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no key was offered that is known",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": (
        "our key is not known there; check the secret, and the client's name"
    ),
}
"""What some of its reasons mean here."""


def is_no_tls(error: OSError) -> bool:
    """Whether the peer speaks no TLS, or none that is recent enough, or has left."""
    return isinstance(error, ssl.SSLEOFError) or _reason(error) in _NO_TLS


def is_alert(error: OSError) -> bool:
    """Whether it is the peer that refuses to go on."""
    return "ALERT" in _reason(error)


def failure_of(error: ssl.SSLError) -> str:
    """Return what went wrong, for a sentence."""
    reason = _reason(error) or str(error.strerror)
    return _CLEARER.get(reason) or reason.lower().replace("_", " ")


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or ""  # only OpenSSL gives it one
