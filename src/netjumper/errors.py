"""The exceptions of the package, as types.

Three parties can be at fault, and a caller tells them apart by class:

- the **jump host**: it cannot be reached, or rejects the client (`JumpHostError`);
- the **target**: the jump server could not reach it, or denies it (`TargetError`);
- the **peer** of a handshake, which broke the protocol (`ProtocolError`).

Each class also inherits the builtin exception that fits, so that code written against `socket` or
`asyncio` catches it without knowing netjumper. This module imports nothing of the package.
"""

import errno
import socket
from typing import ClassVar, Self


class NetjumperError(Exception):
    """The base of all exceptions that netjumper raises on purpose."""


class SettingsError(NetjumperError, ValueError):
    """A command line, variable or file cannot be used; each argument is one line that says why."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems, one readable line each."""
        return tuple(str(line) for line in self.args)


class AddressError(NetjumperError, ValueError):
    """A text is not a valid host, port, address or rule."""


class ProtocolError(NetjumperError, ConnectionError):
    """The peer broke the protocol of the handshake."""


class TargetBroke(ProtocolError):
    """The target broke its protocol (raised where HTTP messages are forwarded)."""


class AnswerCut(TargetBroke):
    """The target's connection ended before the end of its response."""


class AnswerTimeout(TargetBroke, TimeoutError):
    """The target was reached, but did not respond in time."""


class AuthenticationError(NetjumperError, PermissionError):
    """A client failed to authenticate (raised on the listening side)."""


class CredentialsMissing(NetjumperError, PermissionError):
    """A client gave no credentials that can be checked (raised on the listening side)."""


class AccessExpired(NetjumperError, PermissionError):
    """A client proved its identity, but its access has expired (raised on the listening side)."""


class HandshakeTimeout(NetjumperError, TimeoutError):
    """A handshake was not finished by its deadline."""


class JumpHostError(NetjumperError, ConnectionError):
    """The jump host cannot be used; the target was not requested."""

    def at(self, jump_host: object) -> Self:
        """Name the jump host in the text, and return the error."""
        self.args = (f"jump host {jump_host}: {self}",)
        return self


class JumpHostUnreachable(JumpHostError):
    """The jump host could not be connected to; `__cause__` is the reason."""


class JumpHostTimeout(JumpHostError, TimeoutError):
    """The jump host accepted the connection, but did not answer in time."""


class JumpHostProtocolError(JumpHostError):
    """The peer does not speak the netjumper protocol, or the connection was lost during it."""


class JumpHostUntrusted(JumpHostError, PermissionError):
    """TLS failed: the jump host did not prove its identity, rejects the client's, or has no TLS.

    Nothing was sent to it that TLS does not protect.
    """


class WrongSecret(JumpHostError, PermissionError):
    """The jump server rejected the client's answer to its challenge, or its key."""


class TargetError(NetjumperError, OSError):
    """The target was not reached. The text is the dialling side's, see `netjumper.dial_errors`.

    `errno` is set if there is one number for this type of failure. `detail` is for the dialling
    side's log alone: what the client must not learn.
    """

    number: ClassVar[int | None] = None
    detail: str = ""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.errno = self.number

    @property
    def reason(self) -> str:
        """The text without its prefix `dial tcp ADDRESS:`, to be part of another sentence."""
        dial, _, what = str(self).rpartition(": ")
        if "lookup " in dial and isinstance(
            self, TimeoutError
        ):  # otherwise it reads like a timeout of the connection
            return f"its name was not looked up in time ({what})"
        return what or "no reason given"


class TargetRefused(TargetError, ConnectionRefusedError):
    """Nothing listens on the target's port."""

    number = errno.ECONNREFUSED


class TargetTimeout(TargetError, TimeoutError):
    """The target did not accept the connection in time."""

    number = errno.ETIMEDOUT


class NetworkUnreachable(TargetError):
    """The dialling side has no route to the target's network."""

    number = errno.ENETUNREACH


class HostUnreachable(TargetError):
    """The target's network has a route, but the target does not answer there."""

    number = errno.EHOSTUNREACH


class NameNotFound(TargetError, socket.gaierror):
    """The target's name does not exist."""

    number = socket.EAI_NONAME


class NameLookupFailed(TargetError, socket.gaierror):
    """The target's name could not be looked up; a later attempt may succeed."""

    number = socket.EAI_AGAIN


class TargetDenied(TargetError, PermissionError):
    """The jump server does not permit this target."""

    number = errno.EACCES


class OutOfResources(TargetError):
    """The dialling side has no descriptor or memory left: the target was not dialled."""

    number = errno.EMFILE


class TooManyTunnels(TargetError):
    """The limit on tunnels is reached: the target was not dialled."""

    number = errno.EAGAIN


class InvalidTarget(TargetError, ValueError):
    """The destination is not a valid `host:port`."""
