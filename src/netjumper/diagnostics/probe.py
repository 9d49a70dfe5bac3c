"""A tunnel made step by step, so that each step can be reported with its time."""

import time
from dataclasses import replace
from math import inf
from socket import socket

from netjumper.addressing.address import Address
from netjumper.client.blocking import BlockingConnection
from netjumper.errors import JumpHostError, JumpHostProtocolError
from netjumper.net.socket_options import DEFAULTS, SocketOptions
from netjumper.protocol.wire import CHALLENGE_SIZE
from netjumper.text import quoted
from netjumper.tls.context import Encryption

MIN_GREETING_SIZE = 8
"""Bytes; so many printable ones in a row are text, not chance."""
_TEXT = frozenset(b"\t\n\r" + bytes(range(0x20, 0x7F)))


class Probe:
    """One attempt to make a tunnel. Call the methods in their order, once each.

    Args:
        jump_host: the jump server's address.
        secret: shared with it.
        lookup_timeout: seconds for the look-up.
        dial_timeout: seconds for the connect.
        jump_timeout: seconds for each step after that.

    Attributes:
        deadline: `monotonic` seconds until which all steps must end; infinite by default.
        options: of its connection.
        encryption: the TLS on it; None is none.
    """

    def __init__(
        self,
        jump_host: Address,
        secret: bytes,
        *,
        lookup_timeout: float,
        dial_timeout: float,
        jump_timeout: float,
        options: SocketOptions = DEFAULTS,
        encryption: Encryption | None = None,
    ) -> None:
        self.jump_host = jump_host
        self.encryption = encryption
        self.deadline = inf
        self._lookup_timeout = lookup_timeout
        self._dial_timeout = dial_timeout
        self._jump_timeout = jump_timeout
        # Nothing suspends the user timeout for a peer that does not read, and each step has a
        # deadline of its own.
        options = replace(options, user_timeout=False)
        self._connection = BlockingConnection(jump_host, secret, options)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def look_up(self) -> list[str]:
        """Look up the jump host's name and return its addresses.

        Raises:
            JumpHostUnreachable: it has no address, or the look-up did not end in time.
        """
        return self._connection.resolve(self._within(self._lookup_timeout))

    def connect(self) -> str:
        """Connect to one of the addresses; return it and the congestion control, for people.

        Raises:
            JumpHostUnreachable: none could be connected to in time.
        """
        address = self._connection.dial(self._within(self._dial_timeout))
        control = self._connection.congestion_control
        return f"{address}, one round trip{f', {control}' if control else ''}"

    def encrypt(self) -> None:
        """Do the TLS handshake; nothing without `encryption`.

        Raises:
            JumpHostUntrusted: the jump server did not prove its identity, or does not speak TLS.
            JumpHostError: it does not answer.
        """
        if self.encryption is not None:
            timeout = self.step_deadline - time.monotonic()
            self._connection.encrypt(self.encryption, timeout)

    def challenge(self) -> None:
        """Wait for the jump server's challenge.

        Raises:
            JumpHostError: none comes, or something else comes.
        """
        try:
            self._connection.advance(lambda it: bool(it.challenge), self.step_deadline)
        except JumpHostError:
            self._refuse_text(self._connection.received)
            raise
        self._refuse_text(self._connection.received)

    def _refuse_text(self, received: bytes) -> None:
        """Refuse the greeting of another protocol, such as SSH's.

        Otherwise its first byte would be taken for the size of a challenge. A jump server sends 32,
        which is a space; no greeting begins with one. The original's challenge can be letters and
        digits.
        """
        if (
            len(received) >= MIN_GREETING_SIZE
            and received[0] > CHALLENGE_SIZE
            and _TEXT.issuperset(received)
        ):
            text = quoted(received.decode("ascii").split("\r\n")[0])
            raise JumpHostProtocolError(f"it sent text and no challenge: {text}").at(self.jump_host)

    def prove(self) -> None:
        """Answer the challenge and wait for the verdict.

        Raises:
            WrongSecret: the jump server does not accept it.
            JumpHostError: it does not answer.
        """
        self._connection.advance(lambda it: it.authenticated, self.step_deadline)

    def reach(self, target: Address) -> None:
        """Name the target and wait until it is reached.

        Raises:
            TargetError: the jump server cannot reach it.
            JumpHostError: it does not answer.
            AddressError: the target's name is too long.
        """
        self._connection.handshake.request(target)
        self._connection.advance(lambda it: it.result, self.step_deadline)

    @property
    def tunnel(self) -> socket:
        """The connection, which is a tunnel once the target is reached."""
        return self._connection.connected_socket(self.step_deadline)

    @property
    def step_deadline(self) -> float:
        """`monotonic` seconds until which a step after the connect must end if it begins now."""
        return self._within(self._jump_timeout)

    def _within(self, timeout: float) -> float:
        """Return the deadline of a step that begins now; `timeout` is in seconds."""
        return min(time.monotonic() + timeout, self.deadline)
