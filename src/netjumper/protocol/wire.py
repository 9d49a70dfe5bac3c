"""The netjumper wire protocol, both sides, as the Go original speaks it.

    1 challenge    server -> client   frame of any length (the original: 32 bytes)
    2 answer       client -> server   frame: SHA-1(challenge + secret)
    3 verdict      server -> client   status; if not 0, a frame with a text, then close
    4 destination  client -> server   frame: host:port
    5 outcome      server -> client   status; if not 0, a frame with a text, then close
    6 pipe         both               raw bytes

A frame is one length byte and that many bytes. A status is one byte; 0 is success. The original
reads a frame's body with a single read, so a frame must leave in one send. It writes length and
body separately, so a frame is read in any number of pieces here.
"""

import hashlib
import os
import re
from collections.abc import Callable, Generator
from enum import IntEnum

from netjumper import dial_errors
from netjumper.addressing.address import Address, checked_host
from netjumper.errors import (
    AccessExpired,
    AddressError,
    AuthenticationError,
    InvalidTarget,
    JumpHostProtocolError,
    NetjumperError,
    ProtocolError,
    WrongSecret,
)
from netjumper.protocol.handshake import (
    EndOfStream,
    Handshake,
    ListeningHandshake,
    Reading,
    TunnelRequest,
)
from netjumper.text import printable

MAX_FRAME_BYTES = 255
CHALLENGE_SIZE = 32
MIN_CHALLENGE_SIZE = 16
"""Bytes of the shortest challenge that is answered. The answer to an empty one would be a hash of
the secret alone, and tables of hashes can be made beforehand. The original sends 32 bytes."""
ANSWER_SIZE = 20
SERVICES = {
    "domain": 53,
    "ftp": 21,
    "ftps": 990,
    "gopher": 70,
    "http": 80,
    "https": 443,
    "imap2": 143,
    "imap3": 220,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
    "smtp": 25,
    "ssh": 22,
    "telnet": 23,
}
"""Service names that work on every machine, with or without an /etc/services."""
_PORT_NUMBER = re.compile(r"[+-]?([0-9]+)")
TLS_HANDSHAKE, TLS_MAJOR_VERSION = 22, b"\3"
"""The first two bytes of a connection that a client begins with TLS (RFC 8446 section 5.1)."""
CHALLENGE_FAILED = "challenge failed, check secret"


class Status(IntEnum):
    """A verdict or an outcome; any other byte is a failure as well."""

    SUCCESS = 0
    FAILURE = 1


Verify = Callable[[bytes, bytes], str | None]
"""Returns the client's name, given the challenge and the answer; None if the answer is wrong.
Raises
`AccessExpired` if it is right but the client's access has expired."""


def answer_to(challenge: bytes, secret: bytes) -> bytes:
    """Return the 20 bytes that prove knowledge of `secret` for this `challenge`."""
    return hashlib.sha1(challenge + secret, usedforsecurity=False).digest()


def frame(body: bytes) -> bytes:
    """Return `body` (at most 255 bytes) as a frame."""
    return bytes((len(body),)) + body


def text_frame(text: str) -> bytes:
    """Return `text` as a frame, cut between two characters if it is longer than 255 bytes.

    The original sends nothing in that case, and its clients see only the end of the stream.
    """
    body = text.encode("utf-8", "replace")[:MAX_FRAME_BYTES].decode("utf-8", "ignore")
    return frame(body.encode())


def destination_frame(target: Address) -> bytes:
    """Return the frame that names `target`.

    Raises:
        AddressError: `host:port` is longer than the 255 bytes of a frame.
    """
    body = str(target).encode("ascii")
    if len(body) > MAX_FRAME_BYTES:
        raise AddressError(
            f"the destination takes {len(body)} bytes, the protocol allows {MAX_FRAME_BYTES}"
        )
    return frame(body)


class ClientHandshake(Handshake[Address]):
    """The side that dials the jump server.

    Call `request` when the destination is known. If that is before the challenge has come, answer
    and destination leave together, which saves a round trip. Without a destination the handshake
    continues up to the verdict and stays there (`authenticated`): the connection can be parked.
    """

    __slots__ = ("_destination", "_secret", "_target", "authenticated", "challenge")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._destination = b""
        self._target: Address | None = None
        self.challenge = b""
        """The challenge, once it has come; the answer is in `data_to_send`."""
        self.authenticated = False
        """Whether the jump server has accepted the answer."""
        super().__init__()

    def request(self, target: Address) -> None:
        """Name the destination, once.

        Raises:
            AddressError: the destination does not fit into a frame.
        """
        self._target = target
        self._write_with_answer(destination_frame(target))

    def send_early(self, data: bytes) -> None:
        """Send bytes to the target after the destination, without waiting for the outcome.

        If the dial then fails, the original closes the connection without reading such bytes, and a
        reset can overtake the outcome's text.
        """
        self._write_with_answer(data)

    def _write_with_answer(self, data: bytes) -> None:
        if self.challenge:
            self._write(data)
        else:
            self._destination += data

    def _steps(self) -> Generator[None, None, Address]:
        try:
            size = (yield from self._read_exactly(1))[0]
            if size < MIN_CHALLENGE_SIZE:
                raise JumpHostProtocolError(
                    f"its challenge has {size} bytes; expected {MIN_CHALLENGE_SIZE} to 255"
                )
            self.challenge = yield from self._read_exactly(size)
        except EndOfStream:
            raise JumpHostProtocolError("it closed the connection without a challenge") from None
        self._write(frame(answer_to(self.challenge, self._secret)) + self._destination)
        if reason := (yield from self._read_refusal("a verdict")):
            raise WrongSecret(reason)
        self.authenticated = True
        while self._target is None:
            yield from self._nothing_while_parked()
        if reason := (yield from self._read_refusal("an outcome")):
            raise dial_errors.from_text(reason)
        return self._target

    def _read_frame(self) -> Reading:
        size = yield from self._read_exactly(1)
        return (yield from self._read_exactly(size[0]))

    def _read_refusal(self, step: str) -> Generator[None, None, str]:
        """Return the reason for a failure; empty for success."""
        try:
            status = yield from self._read_exactly(1)
        except EndOfStream:
            raise JumpHostProtocolError(f"it closed the connection without {step}") from None
        if status[0] == Status.SUCCESS:
            return ""
        try:
            text = yield from self._read_frame()
        except EndOfStream:
            text = self.trailing_data()
        # An exception's text ends on terminals: no escape sequence of the peer may reach one.
        return printable(text.decode("utf-8", "replace")) or "no reason given"

    def _nothing_while_parked(self) -> Generator[None, None, None]:
        if self._eof:
            raise JumpHostProtocolError("it closed a parked connection")
        if self._incoming:
            raise JumpHostProtocolError("it sent data on a connection that has no destination")
        self.wanted = 1
        yield


class ServerHandshake(ListeningHandshake[TunnelRequest]):
    """The jump server's side; `verify` authenticates clients."""

    __slots__ = ("_authenticated", "_challenge", "_verify")

    corks_success = True

    def __init__(self, verify: Verify, challenge: bytes | None = None) -> None:
        self._verify = verify
        self._authenticated = False
        self._challenge = os.urandom(CHALLENGE_SIZE) if challenge is None else challenge
        super().__init__()

    def _steps(self) -> Generator[None, None, TunnelRequest]:
        self._write(frame(self._challenge))
        size = yield from self._read_exactly(1)
        answer = yield from self._read_exactly(size[0])
        try:
            client = self._verify(self._challenge, answer)
        except AccessExpired as error:
            self._refuse(str(error))
            raise
        if client is None:
            self._refuse(CHALLENGE_FAILED)
            if size[0] == TLS_HANDSHAKE and answer.startswith(TLS_MAJOR_VERSION):
                raise ProtocolError(
                    "it begins TLS on a port without TLS; use the port of listen_tls"
                )
            if len(answer) != ANSWER_SIZE:
                raise ProtocolError("not a valid answer to the challenge")
            raise AuthenticationError("wrong secret")
        self._write(bytes((Status.SUCCESS,)))
        self._nothing_requested()  # it may only check the secret, or park the connection
        self._authenticated = True
        size = yield from self._read_exactly(1)
        text = yield from self._read_exactly(size[0])
        try:
            target = parse_destination(text.decode("utf-8", "replace"))
            return TunnelRequest(target, self._verify_again(answer, target))
        except NetjumperError as error:
            self.reject(error)
            raise

    def _verify_again(self, answer: bytes, target: Address) -> str:
        """Return the client's name: while it was parked, its secret may have been removed or given
        a new
        name."""
        try:
            client = self._verify(self._challenge, answer)
        except AccessExpired as error:
            raise dial_errors.denied(str(target), str(error)) from None
        if client is None:
            raise dial_errors.denied(str(target), "this client's secret was removed")
        return client

    @property
    def is_parked(self) -> bool:
        """Whether the client is authenticated and has named no target yet."""
        return self._authenticated and not self.has_request

    def accept(self) -> None:
        """Report success: from here on the client is connected to its target."""
        self._write(bytes((Status.SUCCESS,)))

    def reject(self, error: Exception) -> None:
        """Report, in the original's words, why the target was not reached."""
        self._refuse(str(error) or "no reason given")

    def _refuse(self, text: str) -> None:
        self._write(bytes((Status.FAILURE,)) + text_frame(text))


def parse_destination(text: str) -> Address:
    """Read a destination as the original's `net.Dial` does: `:80` and `host:http` included.

    Raises:
        TargetError: it is not valid; the text is the original's.
    """
    if not text:
        raise InvalidTarget("dial tcp: missing address")
    host, colon, port = text.rpartition(":")
    if text.startswith("[") and "]" not in text:
        raise dial_errors.invalid_target(text, "missing ']' in address")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif not colon or text.endswith("]"):
        raise dial_errors.invalid_target(text, "missing port in address")
    elif ":" in host:
        raise dial_errors.invalid_target(text, "too many colons in address")
    number = _port_number(port)
    try:
        return Address(checked_host(host) if host else "localhost", number)
    except AddressError:
        raise dial_errors.name_not_found(host) from None


def _port_number(port: str) -> int:
    if numeric := _PORT_NUMBER.fullmatch(port):
        number = int(numeric[1].lstrip("0")[:6] or "0")
        if 1 <= number <= 65535 and not port.startswith("-"):
            return number
        raise dial_errors.invalid_target(port, "invalid port")
    try:
        return SERVICES[port.lower()]
    except KeyError:
        raise dial_errors.invalid_target(f"tcp/{port}", "unknown port") from None
