"""A connection to a jump server, made step by step in the caller's thread.

`Jumper.connect` takes all steps in one call; `netjumper-bridge doctor` measures each. Every step
has a deadline by `time.monotonic()`, which a peer that sends single bytes cannot extend.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from math import inf

from netjumper.addressing.address import Address
from netjumper.client.background_loop import in_background
from netjumper.client.challenges import ChallengeHistory
from netjumper.client.failures import lost, named, trust_error, unreachable
from netjumper.client.plain_socket import decrypted_socket
from netjumper.client.silence import explain
from netjumper.errors import JumpHostError, JumpHostUnreachable, TargetError
from netjumper.net.blocking_dialer import dial, resolve, seconds_left
from netjumper.net.congestion_control import used_by
from netjumper.net.socket_options import Found, SocketOptions
from netjumper.protocol.wire import ClientHandshake
from netjumper.tls.context import Encryption


class BlockingConnection:
    """One connection to a jump server: call `resolve`, `dial`, then `advance`.

    Args:
        jump_host: the jump server's address; errors name it.
        secret: shared with it.
        options: of the socket.
        challenges: of the jump server, from earlier connections; None is none.
    """

    def __init__(
        self,
        jump_host: Address,
        secret: bytes,
        options: SocketOptions,
        challenges: ChallengeHistory | None = None,
    ) -> None:
        self._challenges = challenges or ChallengeHistory(jump_host)
        self.handshake = ClientHandshake(secret)
        self._secret = secret
        self.received = b""
        """What the jump server has sent so far, as part of the handshake."""
        self._jump_host = jump_host
        self._options = options
        self._found: Found = []
        self._sock: socket.socket | None = None
        self._silent_since = inf
        """When the connection was made, by `time.monotonic()`; infinite once TLS is on it, or
        anything has come."""

    def close(self) -> None:
        """Close the connection, if there is one; may be called again."""
        if self._sock is not None:
            self._sock.close()

    def resolve(self, deadline: float) -> list[str]:
        """Look up the jump host's name and return its IP addresses, the preferred ones first.

        Raises:
            JumpHostUnreachable: it has no address, or the look-up did not end in time.
        """
        try:
            self._found = resolve(self._jump_host, deadline)
        except TargetError as error:
            raise unreachable(error).at(self._jump_host) from error
        return list(dict.fromkeys(str(sockaddr[0]) for _, sockaddr in self._found))

    def dial(self, deadline: float) -> Address:
        """Connect to one of the IP addresses (RFC 8305) and return that address.

        Raises:
            JumpHostUnreachable: none could be connected to in time.
        """
        try:
            self._sock, sockaddr = dial(self._found, self._options, deadline)
        except TargetError as error:
            raise unreachable(error).at(self._jump_host) from error
        self._silent_since = time.monotonic()
        return Address(sockaddr[0], sockaddr[1])

    def encrypt(self, encryption: Encryption, timeout: float) -> None:
        """Do the TLS handshake; later steps send and receive plaintext.

        Args:
            encryption: how the jump server proves its identity.
            timeout: seconds that the handshake can take.

        Raises:
            JumpHostUntrusted: the jump server did not prove its identity, or does not speak TLS.
            WrongSecret: the jump server does not know the key.
            JumpHostError: it does not answer in time, or the connection is lost.
        """
        sock = self.connected_socket(0.0)
        sock.setblocking(False)
        self._silent_since = inf

        async def decrypted() -> socket.socket:
            endpoint = encryption.endpoint(asyncio.get_running_loop(), sock)
            return await decrypted_socket(endpoint, timeout)

        try:
            self._sock = in_background(decrypted())
        except ssl.SSLError as error:
            raise named(trust_error(error), self._jump_host, self._secret) from error
        except OSError as error:
            raise lost(error, heard=False).at(self._jump_host) from error

    def advance(self, is_done: Callable[[ClientHandshake], object], deadline: float) -> None:
        """Continue the handshake until `is_done`.

        Bytes after the handshake stay in the socket.

        Raises:
            TargetError: the jump server could not reach the target.
            JumpHostError: it refuses the secret, breaks the protocol or does not answer in time.
        """
        try:
            while not is_done(self.handshake):
                if data := self.handshake.data_to_send():
                    self.connected_socket(deadline).sendall(data)
                self._receive(deadline)
        except JumpHostError as error:
            raise self._explained(error) from error.__cause__
        except TargetError:
            raise
        except OSError as error:
            raise self._explained(lost(error, heard=bool(self.received))) from error

    def _explained(self, error: JumpHostError) -> JumpHostError:
        explain(time.monotonic() - self._silent_since, error)
        return named(error, self._jump_host, self._secret)

    @property
    def congestion_control(self) -> str:
        """The congestion control of the connection; empty without one, or if it is unknown."""
        return "" if self._sock is None else used_by(self._sock)

    def connected_socket(self, deadline: float) -> socket.socket:
        """Return the connection; its operations wait until the deadline at most."""
        if self._sock is None:
            raise JumpHostUnreachable("not connected")
        self._sock.settimeout(seconds_left(deadline))
        return self._sock

    def _receive(self, deadline: float) -> None:
        data = self.connected_socket(deadline).recv(self.handshake.wanted)
        if time.monotonic() > deadline:
            raise TimeoutError
        if data:
            self._silent_since = inf
        self.received += data
        had_challenge = bool(self.handshake.challenge)
        self.handshake.receive_data(data)
        if self.handshake.challenge and not had_challenge:
            self._challenges.record(self.handshake.challenge)
