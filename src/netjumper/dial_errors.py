"""The text of an outcome: all that a client learns about a target that was not reached.

The protocol has no error codes, only the text of the Go original's `net.Dial`. This module is the
one place that knows these texts: `from_oserror` and the others make a `TargetError` with a text of
the original (its clients show it to their users), and `from_text` makes an error of the same type
from that text. Only the type and the text survive the transfer.
"""

import errno
import os
import socket
from dataclasses import dataclass

from netjumper.errors import (
    HostUnreachable,
    InvalidTarget,
    NameLookupFailed,
    NameNotFound,
    NetworkUnreachable,
    OutOfResources,
    TargetDenied,
    TargetError,
    TargetRefused,
    TargetTimeout,
    TooManyTunnels,
)


@dataclass(frozen=True, slots=True)
class ErrorText:
    """One type of failure: its text in the original, and the error numbers that mean it."""

    error: type[TargetError]
    phrase: str
    errnos: tuple[int, ...] = ()


MAX_TARGET_BYTES = 200
"""Bytes of a target that a text repeats: of its 255, some are for the phrase behind it."""

PORT_BYTES = 6
"""Bytes at the end of a target that a shortened one keeps: a colon and a port."""

ERROR_TEXTS = (
    ErrorText(TargetRefused, "connect: connection refused", (errno.ECONNREFUSED,)),
    ErrorText(TargetTimeout, "i/o timeout"),
    ErrorText(TargetTimeout, "connect: connection timed out", (errno.ETIMEDOUT,)),
    ErrorText(NetworkUnreachable, "connect: network is unreachable", (errno.ENETUNREACH,)),
    ErrorText(HostUnreachable, "connect: no route to host", (errno.EHOSTUNREACH,)),
    ErrorText(HostUnreachable, "connect: host is down", (errno.EHOSTDOWN,)),
    ErrorText(TargetDenied, "connect: permission denied", (errno.EACCES,)),
    ErrorText(TargetDenied, "connect: operation not permitted", (errno.EPERM,)),
    ErrorText(TargetDenied, "not permitted"),
    ErrorText(TooManyTunnels, "too many tunnels"),
    ErrorText(NameNotFound, "no such host"),
    ErrorText(NameLookupFailed, "server misbehaving"),
    ErrorText(NameLookupFailed, "Temporary failure in name resolution"),
    ErrorText(OutOfResources, "socket: too many open files", (errno.EMFILE,)),
    ErrorText(OutOfResources, "socket: too many open files in system", (errno.ENFILE,)),
    ErrorText(OutOfResources, "socket: no buffer space available", (errno.ENOBUFS,)),
    ErrorText(OutOfResources, "socket: cannot allocate memory", (errno.ENOMEM,)),
    ErrorText(InvalidTarget, "missing address"),
    ErrorText(InvalidTarget, "missing port in address"),
    ErrorText(InvalidTarget, "missing ']' in address"),
    ErrorText(InvalidTarget, "too many colons in address"),
    ErrorText(InvalidTarget, "invalid port"),
    ErrorText(InvalidTarget, "unknown port"),
)
"""In order: a text has the type of the first entry whose phrase it ends with."""

_BY_ERRNO = {number: it for it in ERROR_TEXTS for number in it.errnos}

OUT_OF_RESOURCES = frozenset(
    number for it in ERROR_TEXTS if it.error is OutOfResources for number in it.errnos
)
"""Error numbers that say that this machine, not the target, is the problem."""

_NOT_FOUND = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def from_text(text: str) -> TargetError:
    """Return the error that a jump server's text stands for; an empty text gives no reason."""
    text = text.strip()
    for it in ERROR_TEXTS:
        if text.endswith(it.phrase):
            return it.error(text)
    return TargetError(text or "no reason given")


def from_oserror(error: OSError, where: str) -> TargetError:
    """Return the error for a failed connect to `where` (`192.0.2.1:443`)."""
    if words := _BY_ERRNO.get(error.errno or 0):
        return words.error(f"dial tcp {where}: {words.phrase}")
    reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    result = TargetError(f"dial tcp {where}: connect: {(reason or type(error).__name__).lower()}")
    result.errno = error.errno
    return result


def from_gaierror(error: socket.gaierror, host: str) -> TargetError:
    """Return the error for a failed look-up of `host`."""
    if error.errno in _NOT_FOUND:
        return name_not_found(host)
    return NameLookupFailed(f"dial tcp: lookup {_shown(host)}: server misbehaving")


def name_not_found(host: str) -> NameNotFound:
    """Return the error for a name that does not exist, or is not a valid name."""
    return NameNotFound(f"dial tcp: lookup {_shown(host)}: no such host")


def _shown(target: str) -> str:
    """Shorten a long target, so that the text's 255 bytes have room for the phrase: it is the type.

    The end stays: it is the port, if there is one.
    """
    encoded = target.encode("utf-8", "replace")
    if len(encoded) <= MAX_TARGET_BYTES:
        return target
    start = encoded[: MAX_TARGET_BYTES - PORT_BYTES].decode("utf-8", "ignore")
    return f"{start}...{encoded[-PORT_BYTES:].decode('utf-8', 'ignore')}"


def timed_out(where: str) -> TargetTimeout:
    """Return the error for a connect to `where` (`192.0.2.1:443`) that took too long."""
    return TargetTimeout(f"dial tcp {where}: i/o timeout")


def lookup_timed_out(host: str) -> TargetTimeout:
    """Return the error for a dial whose time was over before the look-up of `host` ended."""
    return TargetTimeout(f"dial tcp: lookup {_shown(host)}: i/o timeout")


def denied(target: str, why: str) -> TargetDenied:
    """Return the error for a target that this jump server does not permit."""
    return TargetDenied(f"dial tcp {_shown(target)}: {why}, not permitted")


def refused_by_rule(target: str, detail: str) -> TargetDenied:
    """Return the error for a target that an access rule refuses.

    Args:
        target: as the client named it.
        detail: the reason, for the log of this side alone.
    """
    error = denied(target, "refused by a rule")
    error.detail = detail
    return error


def hidden(host: str, detail: str) -> NameNotFound:
    """Return the error for a name that has a local address: the client must not learn that.

    Args:
        host: as the client named it.
        detail: the reason, for the log of this side alone.
    """
    error = name_not_found(host)
    error.detail = detail
    return error


def own_listener(target: str) -> TargetDenied:
    """Return the error for a target that is one of this jump server's own listeners."""
    return denied(target, "the target is this jump server")


def too_many(target: str, why: str) -> TooManyTunnels:
    """Return the error for a target that would exceed a limit on tunnels."""
    return TooManyTunnels(f"dial tcp {_shown(target)}: {why}, too many tunnels")


def invalid_target(text: str, phrase: str) -> InvalidTarget:
    """Return the error for a destination frame that is not a valid `host:port`."""
    return InvalidTarget(f"dial tcp: address {_shown(text)}: {phrase}")
