"""What a TLS failure means: OpenSSL gives only the names of its reasons."""

import re
import ssl

_NO_TLS = {
    *("HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNSUPPORTED_PROTOCOL"),
    "WRONG_VERSION_NUMBER",
}
"""OpenSSL's reasons for bytes that are not TLS, or too old a version of it."""
_KEY_REFUSED = {"SSLV3_ALERT_ILLEGAL_PARAMETER", "TLSV1_ALERT_DECRYPT_ERROR"}
"""Alerts by which a server rejects a key: OpenSSL's own, and that of RFC 8446 section 4.2.11."""
_CLEAR_TEXT = {
    "BINDER_DOES_NOT_VERIFY": "the offered key is unknown",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no key was offered",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it has no certificate",
}
"""What some reasons mean here."""
_UNNAMED = re.compile(r"\[SSL\] (.+) \(_ssl\.c:\d+\)")
"""Python's text for a reason that it has no name for."""
_NOT_ITS_KEY = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""OpenSSL's reasons for a key of another certificate; the last if their types differ."""
_OWN_CERTIFICATE = {
    "BAD_CERTIFICATE": "it rejected our certificate",
    "CERTIFICATE_EXPIRED": "our certificate has expired",
    "CERTIFICATE_REQUIRED": "it requires a client certificate (certificate_file)",
    "CERTIFICATE_REVOKED": "our certificate was revoked",
    "UNKNOWN_CA": "it does not know the authority of our certificate",
    "UNSUPPORTED_CERTIFICATE": "it does not support our certificate",
}
"""What an alert about a certificate (RFC 8446 section 6.2) means to the side that showed it."""


def is_not_its_key(error: Exception) -> bool:
    """Whether a file has the key of another certificate."""
    return _reason(error) in _NOT_ITS_KEY


def is_cut(error: BaseException | None) -> bool:
    """Whether the stream ended without `close_notify` (RFC 8446 section 6.1)."""
    # Python before 3.11.4 raises a plain SSLError (gh-95494).
    return isinstance(error, ssl.SSLEOFError) or _reason(error) == "UNEXPECTED_EOF_WHILE_READING"


def is_no_tls(error: OSError) -> bool:
    """Whether the peer does not speak TLS, or too old a version of it, or has left."""
    return is_cut(error) or _reason(error) in _NO_TLS


def is_wrong_key(error: OSError) -> bool:
    """Whether a client offered a key that it does not have."""
    return _reason(error) == "BINDER_DOES_NOT_VERIFY"


def is_key_refused(error: OSError) -> bool:
    """Whether a server rejected the client's key."""
    return _reason(error) in _KEY_REFUSED


def refusal_of(error: BaseException | None) -> str:
    """Return why the peer rejected our certificate; empty if the error is another one."""
    return _OWN_CERTIFICATE.get(_reason(error).partition("_ALERT_")[2], "")


def failure_of(error: ssl.SSLError) -> str:
    """Return what went wrong, as part of a sentence."""
    reason = _reason(error) or str(error.strerror)
    text = _CLEAR_TEXT.get(reason) or reason.lower().replace("_", " ")
    verdict = getattr(error, "verify_message", "")  # set for certificates only
    return f"{text}: {verdict}" if verdict else text


def _reason(error: BaseException | None) -> str:
    """Return OpenSSL's name of the reason; empty if the error is not OpenSSL's."""
    if not isinstance(error, ssl.SSLError):
        return ""
    if reason := getattr(error, "reason", None):
        return str(reason)
    # Python knows only the reasons that existed when it was released. For a later one it gives the
    # text, which since OpenSSL 3 is the name in lower case.
    unnamed = _UNNAMED.fullmatch(error.strerror or "")
    return unnamed[1].upper().replace(" ", "_") if unnamed else ""
