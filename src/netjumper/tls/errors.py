"""What a failure of TLS means: OpenSSL tells it by the names of its reasons only."""

import re
import ssl

_NO_TLS = {
    *("HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNSUPPORTED_PROTOCOL"),
    "WRONG_VERSION_NUMBER",
}
"""What OpenSSL calls bytes that are no TLS, or none that is recent enough."""
_KEY_REFUSED = {"SSLV3_ALERT_ILLEGAL_PARAMETER", "TLSV1_ALERT_DECRYPT_ERROR"}
"""What a server says of such a key: OpenSSL the first, others as RFC 8446 section 4.2.11 has it."""
_CLEAR_TEXT = {
    "BINDER_DOES_NOT_VERIFY": "the key that is offered is not known",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no key is offered",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it has no certificate",
}
"""What some of its reasons mean here."""
_UNNAMED = re.compile(r"\[SSL\] (.+) \(_ssl\.c:\d+\)")
"""What Python says of a reason that it has no name for."""
_NOT_ITS_KEY = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""What OpenSSL says of two that do not fit; the last where they are of different kinds."""
_OF_OURS = {
    "BAD_CERTIFICATE": "it refused our certificate",
    "CERTIFICATE_EXPIRED": "our certificate has expired",
    "CERTIFICATE_REQUIRED": "it asks for a certificate of ours (certificate_file)",
    "CERTIFICATE_REVOKED": "our certificate was revoked",
    "UNKNOWN_CA": "our certificate is of an authority that it does not know",
    "UNSUPPORTED_CERTIFICATE": "our certificate is for another use",
}
"""What the alerts about a certificate (RFC 8446 section 6.2) are to the one who showed it."""


def is_not_its_key(error: Exception) -> bool:
    """Whether a certificate's file has another one's key in it."""
    return _reason(error) in _NOT_ITS_KEY


def is_cut(error: BaseException | None) -> bool:
    """Whether the stream ended without `close_notify` (RFC 8446 section 6.1)."""
    # Python before 3.11.4 raises a plain SSLError (gh-95494).
    return isinstance(error, ssl.SSLEOFError) or _reason(error) == "UNEXPECTED_EOF_WHILE_READING"


def is_no_tls(error: OSError) -> bool:
    """Whether the peer speaks no TLS, or none that is recent enough, or has left."""
    return is_cut(error) or _reason(error) in _NO_TLS


def is_wrong_key(error: OSError) -> bool:
    """Whether the peer, a client, has offered a key that it does not have."""
    return _reason(error) == "BINDER_DOES_NOT_VERIFY"


def is_key_refused(error: OSError) -> bool:
    """Whether the peer, a server, says so."""
    return _reason(error) in _KEY_REFUSED


def refusal_of(error: BaseException | None) -> str:
    """Return what the peer has against our certificate, empty where it is something else."""
    return _OF_OURS.get(_reason(error).partition("_ALERT_")[2], "")


def failure_of(error: ssl.SSLError) -> str:
    """Return what went wrong, for a sentence."""
    reason = _reason(error) or str(error.strerror)
    told = _CLEAR_TEXT.get(reason) or reason.lower().replace("_", " ")
    verdict = getattr(error, "verify_message", "")  # only of a certificate
    return f"{told}: {verdict}" if verdict else told


def _reason(error: BaseException | None) -> str:
    """Return OpenSSL's name of the reason, empty for an error that is not OpenSSL's."""
    if not isinstance(error, ssl.SSLError):
        return ""
    if reason := getattr(error, "reason", None):
        return str(reason)
    # Python knows the names of the reasons that were there when it was written. Of a later one it
    # gives the text alone, which since OpenSSL 3 is the name in small letters.
    unnamed = _UNNAMED.fullmatch(error.strerror or "")
    return unnamed[1].upper().replace(" ", "_") if unnamed else ""
