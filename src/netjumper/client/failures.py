"""The errors of failed connections to a jump host."""

import ssl

from netjumper.errors import (
    JumpHostError,
    JumpHostProtocolError,
    JumpHostTimeout,
    JumpHostUnreachable,
    JumpHostUntrusted,
    NetjumperError,
    OutOfResources,
    TargetError,
    WrongSecret,
)
from netjumper.tls.errors import failure_of, is_cut, is_key_refused, is_no_tls, refusal_of


def unreachable(error: NetjumperError) -> JumpHostUnreachable:
    """Return the error for a failed dial of a jump host; `error` is its cause."""
    reason = error.reason if isinstance(error, TargetError) else str(error)
    if isinstance(error, OutOfResources):  # not the jump host's fault
        reason += " on this machine"
    told = JumpHostUnreachable(reason)
    told.__cause__ = error
    return told


def lost(error: OSError) -> JumpHostError:
    """Return the error for a connection that fails during the handshake; `error` is its cause."""
    told: JumpHostError
    if isinstance(error, TimeoutError):
        told = JumpHostTimeout("it did not answer in time")
    else:
        reason = error.strerror or type(error).__name__
        told = JumpHostProtocolError(f"lost in the middle of the handshake: {reason}")
    told.__cause__ = error
    return told


def trust_error(error: ssl.SSLError) -> JumpHostUntrusted | WrongSecret:
    """Return the error for a TLS failure; `error` is its cause."""
    told: JumpHostUntrusted | WrongSecret
    if is_key_refused(error):
        told = WrongSecret("our key is not known there; check the secret, and the client's name")
    else:
        told = JumpHostUntrusted(_why_not_trusted(error))
    told.__cause__ = error
    return told


def _why_not_trusted(error: ssl.SSLError) -> str:
    if is_cut(error):
        return "it ended TLS in the middle"
    if is_no_tls(error):
        return "it does not speak TLS there"
    if isinstance(error, ssl.SSLCertVerificationError):
        # this package's own errors have none
        why = getattr(error, "verify_message", error.strerror)
        return f"it is not who it should be: {why}"
    if told := refusal_of(error):
        return told
    return f"TLS failed: {failure_of(error)}"
