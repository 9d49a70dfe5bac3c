"""The bytes of a TLS connection between OpenSSL and the socket, where one of them is to wait."""

import ssl
from collections.abc import Callable

AT_ONCE = 256 * 1024
"""Bytes that are taken, or received, in one go."""
PIECE = 16 * 1024
"""Bytes that go through OpenSSL at once, a record's worth (RFC 8446 section 5.1): its buffers
keep the size that they once had."""
MOST_ASKED_FOR = 64 * 1024
"""Bytes of answers that a peer may cause without taking them: key updates (RFC 8446 section 4.6.3)
cost who asks for them as much as who answers."""
_NONE = memoryview(b"")


class Incoming:
    """What was received, until OpenSSL has decrypted it."""

    __slots__ = ("_rest", "bio", "is_empty")

    def __init__(self) -> None:
        self.bio = ssl.MemoryBIO()
        """Where OpenSSL takes it from."""
        self.is_empty = True
        """Whether there was nothing more to receive, at the last look."""
        self._rest = _NONE

    def fill(self, receive: Callable[[int], bytes | None]) -> bool:
        """Give OpenSSL what is there, received before or now.

        Args:
            receive: at most so many bytes; `b""` is the end of the stream, None is nothing yet.

        Returns:
            False where nothing is.

        Raises:
            OSError: as `receive` does.
        """
        if not self._rest:
            data = receive(AT_ONCE)
            self.is_empty = data is None
            if data is None:
                return False
            if not data:
                self.bio.write_eof()
                return True
            self._rest = memoryview(data)
        self.bio.write(self._rest[:PIECE])
        # An empty view would keep all of the bytes that it is of.
        self._rest = self._rest[PIECE:] or _NONE
        return True


class Outgoing:
    """What was encrypted, until the socket has room for it."""

    __slots__ = ("_rest", "bio")

    def __init__(self) -> None:
        self.bio = ssl.MemoryBIO()
        """Where OpenSSL puts it."""
        self._rest = _NONE

    def __len__(self) -> int:
        return len(self._rest) + self.bio.pending

    def encrypt(self, tls: ssl.SSLObject, data: bytes | memoryview) -> None:
        """Add what `data` is on the wire.

        Raises:
            ssl.SSLError: the connection is not established, or has ended.
        """
        pieces: list[bytes | memoryview] = [self._rest, self.bio.read()]
        rest = memoryview(data)
        while rest:
            rest = rest[tls.write(rest[:PIECE]) :]
            pieces.append(self.bio.read())
        self._rest = memoryview(b"".join(pieces))

    def flush(self, send: Callable[[memoryview], int]) -> None:
        """Give `send` what there is, for as long as it takes all of it.

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

    def answer(self, send: Callable[[memoryview], int]) -> None:
        """Let leave what OpenSSL has to say for itself, as the peer asked.

        Raises:
            OSError: as `send` does; or the peer asks on, and takes nothing.
        """
        self.flush(send)
        if self.bio.pending > MOST_ASKED_FOR:
            raise OSError("the peer does not take the answers that it asks for")

    def drop(self) -> None:
        """Forget it: the connection is lost."""
        self._rest = _NONE
        self.bio.read()
