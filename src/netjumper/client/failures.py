"""The errors of failed connections to a jump host."""

import errno
import ssl

from netjumper.addressing.address import Address
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

_KEY_REJECTED = "key rejected; check the secret and the client name"
RESET_UNHEARD = (
    "it reset the connection before its first byte; it may have banned this address after failed "
    "authentications (its log says so)"
)
"""What a reset of a new connection means. Whether the dial or the first read meets it is chance."""


def unreachable(error: NetjumperError) -> JumpHostUnreachable:
    """Return the error for a failed dial of a jump host; `error` is its cause."""
    reason = error.reason if isinstance(error, TargetError) else str(error)
    if isinstance(error, TargetError) and error.errno == errno.ECONNRESET:
        reason = RESET_UNHEARD  # it came before the dial looked at the new connection
    if isinstance(error, OutOfResources):  # not the jump host's fault
        reason += " on this machine"
    error_ = JumpHostUnreachable(reason)
    error_.__cause__ = error
    return error_


def lost(error: OSError, *, heard: bool) -> JumpHostError:
    """Return the error for a connection that fails during the handshake.

    Args:
        error: its cause.
        heard: whether the jump host has sent anything.
    """
    error_: JumpHostError
    if isinstance(error, TimeoutError):
        error_ = JumpHostTimeout("it did not answer in time")
    elif isinstance(error, ConnectionResetError) and not heard:
        error_ = JumpHostUnreachable(RESET_UNHEARD)
    else:
        reason = error.strerror or type(error).__name__
        error_ = JumpHostProtocolError(f"lost in the middle of the handshake: {reason}")
    error_.__cause__ = error
    return error_


def named(error: JumpHostError, jump_host: Address, secret: bytes) -> JumpHostError:
    """Name the jump host in an error, and a likely reason of a wrong secret; return the error.

    Args:
        error: a failure of a connection to it.
        jump_host: the jump host.
        secret: shared with it.
    """
    if isinstance(error, WrongSecret) and secret != secret.strip():
        error.args = (f"{error} (here it begins or ends with a space or newline)",)
    return error.at(jump_host)


def trust_error(error: ssl.SSLError) -> JumpHostUntrusted | WrongSecret:
    """Return the error for a TLS failure; `error` is its cause."""
    error_: JumpHostUntrusted | WrongSecret
    if is_key_refused(error):
        error_ = WrongSecret(_KEY_REJECTED)
    else:
        error_ = JumpHostUntrusted(_why_not_trusted(error))
    error_.__cause__ = error
    return error_


def _why_not_trusted(error: ssl.SSLError) -> str:
    if is_cut(error):
        return "it ended TLS in the middle"
    if is_no_tls(error):
        return "it does not speak TLS there; use the port of listen_tls"
    if isinstance(error, ssl.SSLCertVerificationError):
        # this package's own errors have none
        why = getattr(error, "verify_message", error.strerror)
        return f"certificate verification failed: {why}"
    if error_ := refusal_of(error):
        return error_
    return f"TLS failed: {failure_of(error)}"
