"""TLS without a socket (sans-I/O; RFC 8446): `ssl.SSLObject` between two memory buffers.

`Incoming` has what was received until OpenSSL has decrypted it, `Outgoing` what was encrypted until
the socket has room for it. `Engine` is the connection between them: its handshake, its plaintext
and its end. The driver is `netjumper.tls.endpoint`.
"""

import contextlib
import ssl
from collections.abc import Callable

MAX_CALL_BYTES = 32 * 1024
"""Bytes that one call takes or receives at most."""
RECORD_BYTES = 16 * 1024
"""Bytes that OpenSSL processes at once: a full record (RFC 8446 section 5.1). Its buffers keep the
size that they once had."""
MAX_UNSENT_ANSWER_BYTES = 64 * 1024
"""Bytes of answers that a peer can cause without reading them. A key update (RFC 8446 section
4.6.3) costs the side that requests it as much as the side that answers."""
MAX_BYTES_WITHOUT_DATA = 32 * 1024
"""Bytes that a peer can send in a row without any plaintext in them. A handshake with certificates
is shorter; key updates and empty records can go on for ever."""
MAX_READS = 64
"""Records that one call decrypts at most; a peer can send records of one byte."""
MAX_EMPTY_FILLS = 2
"""Pieces without any plaintext that one call decrypts at most; a full record can span two."""
_NONE = memoryview(b"")

Wrap = Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]
"""Makes a TLS connection between two buffers: `SSLContext.wrap_bio` with its options."""
Check = Callable[[ssl.SSLObject], None]
"""Called when a handshake is complete; raises an `ssl.SSLError` if the peer is the wrong one."""


class Incoming:
    """What was received and is not decrypted yet."""

    __slots__ = ("_rest", "bio", "is_empty", "without_data")

    def __init__(self) -> None:
        self.bio = ssl.MemoryBIO()
        """Where OpenSSL takes it from."""
        self.without_data = 0
        """Bytes that have come since the last plaintext."""
        self.is_empty = True
        """Whether there was nothing more to receive at the last look."""
        self._rest = _NONE

    def fill(self, receive: Callable[[int], bytes | None]) -> bool:
        """Give OpenSSL the next piece of what was received before, or of what is there now.

        Args:
            receive: returns at most that many bytes; `b""` is the end of the stream, None is
                nothing yet.

        Returns:
            False if there is nothing.

        Raises:
            OSError: as `receive` does; or the peer only sends records without data.
        """
        if self.without_data > MAX_BYTES_WITHOUT_DATA:
            raise OSError("the peer sends TLS records without data")
        if not self._rest:
            data = receive(MAX_CALL_BYTES)
            self.is_empty = data is None
            if data is None:
                return False
            if not data:
                self.bio.write_eof()
                return True
            self._rest = memoryview(data)
        self.without_data += self.bio.write(self._rest[:RECORD_BYTES])
        # An empty view would keep all of the bytes that it is of.
        self._rest = self._rest[RECORD_BYTES:] or _NONE
        return True


class Outgoing:
    """What was encrypted and is not sent yet."""

    __slots__ = ("_rest", "bio")

    def __init__(self) -> None:
        self.bio = ssl.MemoryBIO()
        """Where OpenSSL puts it."""
        self._rest = _NONE

    def __len__(self) -> int:
        return len(self._rest) + self.bio.pending

    def encrypt(self, tls: ssl.SSLObject, data: bytes | memoryview) -> None:
        """Add `data`, encrypted.

        Raises:
            ssl.SSLError: the connection is not established, or has ended.
        """
        pieces: list[bytes | memoryview] = [self._rest, self.bio.read()]
        rest = memoryview(data)
        while rest:
            rest = rest[tls.write(rest[:RECORD_BYTES]) :]
            pieces.append(self.bio.read())
        self._rest = memoryview(b"".join(pieces))

    def flush(self, send: Callable[[memoryview], int]) -> None:
        """Pass everything to `send` until it takes less than it is given.

        Raises:
            OSError: as `send` does.
        """
        while self:
            if not self._rest:
                self._rest = memoryview(self.bio.read())
            # An empty view would keep all of the bytes that it is of.
            self._rest = self._rest[send(self._rest) :] or _NONE
            if self._rest:
                return

    def flush_answers(self, send: Callable[[memoryview], int]) -> None:
        """Pass OpenSSL's own answers to the peer's messages to `send`.

        Raises:
            OSError: as `send` does; or the peer does not read the answers.
        """
        self.flush(send)
        if self.bio.pending > MAX_UNSENT_ANSWER_BYTES:
            raise OSError("the peer does not read the answers that it requests")

    def drop(self) -> None:
        """Forget everything: the connection is lost."""
        self._rest = _NONE
        self.bio.read()


class Engine:
    """One TLS connection.

    Args:
        wrap: makes the `ssl.SSLObject` of it.
        check: checks the peer when the handshake is complete.

    Attributes:
        incoming: what was received.
        outgoing: what must be sent.
        is_established: the handshake is complete.
        has_failed: the handshake failed; the alert that says why is in `outgoing`.
        plaintext: what was decrypted before it was asked for.
    """

    __slots__ = (
        "_check",
        "_corked",
        "_early",
        "_tls",
        "has_failed",
        "incoming",
        "is_established",
        "outgoing",
        "plaintext",
    )

    def __init__(self, wrap: Wrap, check: Check) -> None:
        self.incoming, self.outgoing = Incoming(), Outgoing()
        self._tls = wrap(self.incoming.bio, self.outgoing.bio)
        self._check = check
        self.is_established = False
        self.has_failed = False
        self.plaintext = b""
        self._early = b""
        """What must be sent as soon as the handshake is complete."""
        self._corked = b""
        """What must leave with what is sent next."""

    @property
    def begins(self) -> bool:
        """Whether this side sends first: it is the client."""
        return not self._tls.server_side

    @property
    def is_read_up(self) -> bool:
        """Whether everything that was received has been asked for."""
        return self.incoming.is_empty and not self.plaintext

    def shake_hands(self) -> None:
        """Continue the handshake with what was received.

        Raises:
            ssl.SSLWantReadError: more has to be received first.
            ssl.SSLError: the peer is the wrong one, or does not speak TLS.
        """
        try:
            self._tls.do_handshake()
            self._check(self._tls)
        except ssl.SSLError as error:
            self.has_failed = not isinstance(error, ssl.SSLWantReadError)
            raise
        self.is_established = True
        self.incoming.without_data = 0
        early, self._early = self._early, b""
        if early:
            self.encrypt(early)

    def send_early(self, data: bytes | memoryview) -> int:
        """Keep `data` until the handshake is complete; return how many bytes were taken."""
        early = bytes(data[: MAX_CALL_BYTES - len(self._early)])
        self._early += early
        return len(early)

    def decrypt(self, buffer: memoryview) -> int:
        """Decrypt into `buffer` and return the number of bytes, at least one.

        Raises:
            ssl.SSLZeroReturnError: the peer has ended its direction.
            ssl.SSLWantReadError: more has to be received first.
            ssl.SSLError: what came is not TLS, or the stream ended without `close_notify`.
        """
        count = self._tls.read(len(buffer), buffer)
        if not count:
            raise ssl.SSLZeroReturnError
        self.incoming.without_data = 0
        return int(count)

    def take_plaintext(self, buffer: memoryview) -> int:
        """Copy what was decrypted before into `buffer` and return the number of bytes."""
        taken = self.plaintext[: len(buffer)]
        buffer[: len(taken)] = taken
        self.plaintext = self.plaintext[len(taken) :]
        return len(taken)

    def encrypt(self, data: bytes | memoryview) -> None:
        """Put `data` into `outgoing`, after what is corked.

        Raises:
            ssl.SSLError: the connection is not established, or has ended.
        """
        corked, self._corked = self._corked, b""
        self.outgoing.encrypt(self._tls, corked + bytes(data) if corked else data)

    def cork(self, data: bytes) -> None:
        """Keep `data` until something else is encrypted, or `uncork` is called."""
        self._corked += data

    def uncork(self) -> bool:
        """Put what is corked into `outgoing`; return whether there was something.

        Raises:
            ssl.SSLError: the connection has ended.
        """
        if not self._corked:
            return False
        self.encrypt(b"")
        return True

    def end(self) -> None:
        """End this direction: put `close_notify` into `outgoing` (RFC 8446 section 6.1).

        OpenSSL refuses to end while it holds plaintext, so that is decrypted first.
        """
        self.uncork()
        while (more := self._decrypted()) is not None:
            self.plaintext += more
        with contextlib.suppress(ssl.SSLError):  # OpenSSL waits for the peer's end; this does not
            self._tls.unwrap()

    def _decrypted(self) -> bytes | None:
        try:
            return self._tls.read(MAX_CALL_BYTES) or None
        except ssl.SSLError:
            return None

    def drop_incoming(self) -> None:
        """Forget what was received: it will not be read."""
        self.incoming = Incoming()
