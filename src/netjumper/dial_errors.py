"""The outcome's text: the one thing a client is told of a target that was not reached.

The wire has no error codes, only the text of the Go original's `net.Dial`. So it is typed in
one place: `from_oserror` and friends make a `TargetError` whose text is in the original's
words (old clients show it to people), and `from_text` makes the same type out of that text
again. Only the type and the text travel; nothing else may be relied on.
"""

import errno
import os
import socket
from dataclasses import dataclass

from netjumper.addressing.address import Address
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
    """How the original says one kind of failure, and which error numbers mean it."""

    error: type[TargetError]
    phrase: str
    errnos: tuple[int, ...] = ()


MAX_NAME = 200
"""Bytes of a host's name that a text repeats."""

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
"""A text is of the first kind whose phrase it ends with."""

_BY_ERRNO = {number: words for words in ERROR_TEXTS for number in words.errnos}

OUT_OF_RESOURCES = frozenset(
    number for words in ERROR_TEXTS if words.error is OutOfResources for number in words.errnos
)

_NOT_FOUND = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def from_text(text: str) -> TargetError:
    """Return the error that a jump server's text tells of; an empty text gave no reason."""
    text = text.strip()
    for words in ERROR_TEXTS:
        if text.endswith(words.phrase):
            return words.error(text)
    return TargetError(text or "no reason given")


def from_oserror(error: OSError, where: str) -> TargetError:
    """Return what a failed connect to `where` (`192.0.2.1:443`) is called."""
    if words := _BY_ERRNO.get(error.errno or 0):
        return words.error(f"dial tcp {where}: {words.phrase}")
    reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return TargetError(f"dial tcp {where}: connect: {(reason or type(error).__name__).lower()}")


def from_gaierror(error: socket.gaierror, host: str) -> TargetError:
    """Return what a failed look-up of `host` is called."""
    if error.errno in _NOT_FOUND:
        return name_not_found(host)
    return NameLookupFailed(f"dial tcp: lookup {_shown(host)}: server misbehaving")


def name_not_found(host: str) -> NameNotFound:
    """Return the error for a name that does not exist, or could not be one."""
    return NameNotFound(f"dial tcp: lookup {_shown(host)}: no such host")


def _shown(host: str) -> str:
    """Leave room in the 255 bytes that travel for the words behind the name: they are the type."""
    name = host.encode("utf-8", "replace")
    return host if len(name) <= MAX_NAME else name[:MAX_NAME].decode("utf-8", "ignore") + "..."


def timed_out(where: str) -> TargetTimeout:
    """Return the error for a connect to `where` (`192.0.2.1:443`) that took too long."""
    return TargetTimeout(f"dial tcp {where}: i/o timeout")


def lookup_timed_out(host: str) -> TargetTimeout:
    """Return the error for a dial whose time was over before `host` was looked up."""
    return TargetTimeout(f"dial tcp: lookup {_shown(host)}: i/o timeout")


def denied(target: Address, why: str) -> TargetDenied:
    """Return the error for a target that this jump server does not lead to."""
    return TargetDenied(f"dial tcp {_where(target)}: {why}, not permitted")


def own_listener(target: Address) -> TargetDenied:
    """Return the error for a target that is one of this jump server's own listeners."""
    return denied(target, "the target is this jump server")


def too_many(target: Address, why: str) -> TooManyTunnels:
    """Return the error for a target that is one too many just now."""
    return TooManyTunnels(f"dial tcp {_where(target)}: {why}, too many tunnels")


def _where(target: Address) -> Address:
    return Address(_shown(target.host), target.port)


def invalid_target(text: str, phrase: str) -> InvalidTarget:
    """Return the error for a destination frame that is no `host:port`."""
    return InvalidTarget(f"dial tcp: address {_shown(text)}: {phrase}")
