"""Everything that can go wrong, as types; the words everyone uses.

Three parties can be at fault, and a caller tells them apart by class:

- the **jump host**: it cannot be reached, or does not know us (`JumpHostError`);
- the **target**: the jump server could not, or would not, reach it (`TargetError`);
- the **peer** in a handshake, which broke its protocol (`ProtocolError`).

Each class is also the builtin that fits, so that code written against `socket` or `asyncio`
catches it without knowing netjumper. This module imports nothing of the package.
"""

import errno
import socket
from typing import ClassVar, Self


class NetjumperError(Exception):
    """The root of every error netjumper raises on purpose."""


class SettingsError(NetjumperError, ValueError):
    """A command line, variable or file cannot be used; each argument is one line that says why."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems, one readable line each."""
        return tuple(str(line) for line in self.args)


class AddressError(NetjumperError, ValueError):
    """A host, a port or a listening address that cannot be one."""


class ProtocolError(NetjumperError, ConnectionError):
    """The peer broke the protocol of the handshake it is in."""


class TargetBroke(ProtocolError):
    """The target's answer is not what its protocol has (seen where a message is forwarded)."""


class AnswerCut(TargetBroke):
    """The target's connection ended before its answer did."""


class AnswerTimeout(TargetBroke, TimeoutError):
    """The target was reached, and did not answer in time."""


class AuthenticationError(NetjumperError, PermissionError):
    """A client did not prove that it may come in (seen from the listening side)."""


class AccessExpired(NetjumperError, PermissionError):
    """A client proved who it is, and may not come in any more (seen from the listening side)."""


class HandshakeTimeout(NetjumperError, TimeoutError):
    """A handshake was not finished before its deadline."""


class JumpHostError(NetjumperError, ConnectionError):
    """The jump host stands between us and the target, and does not let us through."""

    def at(self, jump_host: object) -> Self:
        """Say in the text which jump host it was."""
        self.args = (f"jump host {jump_host}: {self}",)
        return self


class JumpHostUnreachable(JumpHostError):
    """No connection to the jump host could be made; `__cause__` says why."""


class JumpHostTimeout(JumpHostError, TimeoutError):
    """The jump host took the connection and then did not answer in time."""


class JumpHostProtocolError(JumpHostError):
    """What answers there does not speak the netjumper protocol, or stopped in the middle of it."""


class JumpHostUntrusted(JumpHostError, PermissionError):
    """TLS failed: the jump host did not prove who it is, or speaks none, or we did not prove it.

    Nothing was said to it.
    """


class WrongSecret(JumpHostError, PermissionError):
    """The jump server did not accept our answer to its challenge, or our key."""


class TargetError(NetjumperError, OSError):
    """The target was not reached. The text is the dialling side's own, see `netjumper.dial_errors`.

    `errno` is what the builtin of that kind has, where there is one number for the kind.
    """

    number: ClassVar[int | None] = None

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.errno = self.number

    @property
    def reason(self) -> str:
        """The text without its `dial tcp ADDRESS:` prefix, for a sentence of our own."""
        dial, _, what = str(self).rpartition(": ")
        if "lookup " in dial and isinstance(self, TimeoutError):  # or it looks like the port's
            return f"its name was not looked up in time ({what})"
        return what or "no reason given"


class TargetRefused(TargetError, ConnectionRefusedError):
    """Nothing listens on the target's port."""

    number = errno.ECONNREFUSED


class TargetTimeout(TargetError, TimeoutError):
    """The target did not answer the dial in time."""

    number = errno.ETIMEDOUT


class NetworkUnreachable(TargetError):
    """The dialling side has no route to the target's network."""

    number = errno.ENETUNREACH


class HostUnreachable(TargetError):
    """The target's network is there, the target is not."""

    number = errno.EHOSTUNREACH


class NameNotFound(TargetError, socket.gaierror):
    """The target's name does not exist."""

    number = socket.EAI_NONAME


class NameLookupFailed(TargetError, socket.gaierror):
    """The target's name could not be looked up just now."""

    number = socket.EAI_AGAIN


class TargetDenied(TargetError, PermissionError):
    """The jump server refuses to go there."""

    number = errno.EACCES


class OutOfResources(TargetError):
    """The dialling side has no descriptor or memory left: the target was not tried."""

    number = errno.EMFILE


class TooManyTunnels(TargetError):
    """The jump server leads nowhere now: there are as many tunnels as there may be."""

    number = errno.EAGAIN


class InvalidTarget(TargetError, ValueError):
    """The destination that was named is no `host:port`."""
