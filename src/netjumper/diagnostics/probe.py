"""A tunnel made step by step, so that each step can be told with its time.

Blocking sockets with a timeout: nothing else happens meanwhile. What goes wrong comes out as the
errors that a bridge would tell.
"""

import asyncio
import queue
import socket
import ssl
import threading
import time
from dataclasses import replace
from typing import Any

from netjumper.addressing.address import Address
from netjumper.client.background_loop import in_background
from netjumper.client.blocking import reason_of, seconds_left
from netjumper.client.encryption import trust_error
from netjumper.client.plain_socket import decrypted_socket
from netjumper.errors import (
    JumpHostError,
    JumpHostProtocolError,
    JumpHostTimeout,
    JumpHostUnreachable,
    NetjumperError,
)
from netjumper.net.socket_options import DEFAULTS, SocketOptions
from netjumper.protocol.wire import CHALLENGE_SIZE, ClientHandshake
from netjumper.text import quoted
from netjumper.tls.context import Encryption

READABLE = 8
"""Bytes of text from which on it is no chance that they are text."""
_TEXT = frozenset(b"\t\n\r" + bytes(range(0x20, 0x7F)))


class Probe:
    """One attempt to make a tunnel. Call the methods in their order, once each.

    Args:
        jump_host: the jump server's address.
        secret: shared with it.
        dial_timeout: seconds for the look-up and the connect, each.
        jump_timeout: seconds for each step behind that.
        options: of its connection.
        encryption: the TLS on it; None is in the clear.
    """

    def __init__(
        self,
        jump_host: Address,
        secret: bytes,
        *,
        dial_timeout: float,
        jump_timeout: float,
        options: SocketOptions = DEFAULTS,
        encryption: Encryption | None = None,
    ) -> None:
        self.jump_host = jump_host
        self.encryption = encryption
        self._handshake = ClientHandshake(secret)
        self._answer = b""
        self._dial_timeout = dial_timeout
        self._jump_timeout = jump_timeout
        # Nobody looks after a peer that does not read, and each step has a time of its own.
        self._options = replace(options, user_timeout=False)
        self._found: list[Any] = []
        self._sock: socket.socket | None = None

    def close(self) -> None:
        """Let go of the connection."""
        if self._sock is not None:
            self._sock.close()

    def look_up(self) -> list[str]:
        """Look the jump host's name up and return its addresses.

        Raises:
            JumpHostUnreachable: it has none, or nobody answers in time.
        """
        answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()
        # A dead name server holds getaddrinfo for half a minute.
        threading.Thread(target=self._ask, args=(answers,), daemon=True).start()
        try:
            answer = answers.get(timeout=self._dial_timeout)
        except queue.Empty:
            answer = TimeoutError()
        if isinstance(answer, OSError):
            raise self._unreachable(answer) from answer
        self._found = [(info[0], info[4]) for info in answer]
        return list(dict.fromkeys(str(sockaddr[0]) for _, sockaddr in self._found))

    def _ask(self, answers: "queue.SimpleQueue[list[Any] | OSError]") -> None:
        try:
            found = socket.getaddrinfo(
                self.jump_host.host, self.jump_host.port, type=socket.SOCK_STREAM
            )
        except OSError as error:
            answers.put(error)
        except ValueError:  # a label that the codec refuses
            answers.put(socket.gaierror(socket.EAI_NONAME, "no such host"))
        else:
            answers.put(list(found))

    def connect(self) -> str:
        """Connect to the first of the addresses that answers, and return which it was.

        Raises:
            JumpHostUnreachable: none does.
        """
        cause: OSError = TimeoutError()
        deadline = time.monotonic() + self._dial_timeout
        for number, (family, sockaddr) in enumerate(self._found):
            share = seconds_left(deadline) / (len(self._found) - number)
            try:
                self._sock = self._options.dial(family, sockaddr, share)
            except OSError as error:
                cause = error
                continue
            return str(Address(str(sockaddr[0]), int(sockaddr[1])))
        raise self._unreachable(cause) from cause

    def _unreachable(self, error: OSError) -> NetjumperError:
        return JumpHostUnreachable(reason_of(error, self.jump_host)).at(self.jump_host)

    def encrypt(self) -> None:
        """Shake hands with TLS; only where there is `encryption`.

        Raises:
            JumpHostUntrusted: it is not who it should be, or speaks no TLS.
            JumpHostError: it does not answer.
        """
        sock, encryption = self._connection(0.0), self.encryption
        if encryption is None:
            return
        sock.setblocking(False)
        try:
            self._sock = in_background(self._encrypted(sock, encryption))
        except ssl.SSLError as error:
            raise trust_error(error).at(self.jump_host) from error
        except OSError as error:
            raise self._lost(error) from error

    async def _encrypted(self, sock: socket.socket, encryption: Encryption) -> socket.socket:
        endpoint = encryption.endpoint(asyncio.get_running_loop(), sock)
        return await decrypted_socket(endpoint, self._jump_timeout)

    def challenge(self) -> None:
        """Wait for the jump server's challenge.

        Raises:
            JumpHostError: it does not come, or something else does.
        """
        deadline = time.monotonic() + self._jump_timeout
        heard = b""
        try:
            while not self._answer:
                heard += self._receive(deadline)
                self._answer = self._handshake.data_to_send()
        except JumpHostError:
            self._refuse_text(heard)
            raise
        self._refuse_text(heard)

    def _refuse_text(self, heard: bytes) -> None:
        """Refuse the greeting of another protocol, such as SSH's.

        Its first byte would be taken for a challenge's size. A jump server's is 32, a space, and
        no greeting begins with that; what follows can be letters and digits, as the original's.
        """
        if len(heard) >= READABLE and heard[0] > CHALLENGE_SIZE and _TEXT.issuperset(heard):
            text = quoted(heard.decode("ascii").split("\r\n")[0])
            raise JumpHostProtocolError(f"it sent text and no challenge: {text}").at(self.jump_host)

    def prove(self) -> None:
        """Answer the challenge and wait for the verdict.

        Raises:
            WrongSecret: the jump server does not accept it.
            JumpHostError: it does not answer.
        """
        deadline = time.monotonic() + self._jump_timeout
        self._send(self._answer, deadline)
        while not self._handshake.authenticated:
            self._receive(deadline)

    def reach(self, target: Address) -> None:
        """Name the target and wait until it is reached.

        Raises:
            TargetError: the jump server cannot reach it.
            JumpHostError: it does not answer.
            AddressError: the target's name is too long.
        """
        deadline = time.monotonic() + self._jump_timeout
        self._handshake.request(target)
        self._send(self._handshake.data_to_send(), deadline)
        while self._handshake.result is None:
            self._receive(deadline)

    @property
    def tunnel(self) -> socket.socket:
        """The connection, a tunnel once the target is reached."""
        return self._connection(time.monotonic() + self._jump_timeout)

    def _connection(self, deadline: float) -> socket.socket:
        if self._sock is None:
            raise JumpHostUnreachable("there is no connection").at(self.jump_host)
        self._sock.settimeout(seconds_left(deadline))
        return self._sock

    def _send(self, data: bytes, deadline: float) -> None:
        try:
            self._connection(deadline).sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def _receive(self, deadline: float) -> bytes:
        try:
            data = self._connection(deadline).recv(self._handshake.wanted)
            if time.monotonic() > deadline:
                raise TimeoutError  # a peer that trickles bytes gets no more
        except OSError as error:
            raise self._lost(error) from error
        try:
            self._handshake.receive_data(data)
        except JumpHostError as error:
            raise error.at(self.jump_host) from None
        return data

    def _lost(self, error: OSError) -> NetjumperError:
        if isinstance(error, NetjumperError):
            return error
        if isinstance(error, TimeoutError):
            return JumpHostTimeout("it did not answer in time").at(self.jump_host)
        reason = error.strerror or type(error).__name__
        return JumpHostProtocolError(f"lost in the middle of the handshake: {reason}").at(
            self.jump_host
        )
