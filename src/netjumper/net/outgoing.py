"""What TLS has encrypted, until the socket has room for it."""

import ssl
from collections.abc import Callable

PIECE = 16 * 1024
"""Bytes that go through OpenSSL at once, a record's worth (RFC 8446 section 5.1): its buffers
keep the size that they once had."""
MOST_ASKED_FOR = 64 * 1024
"""Bytes of answers that a peer may cause without taking them: key updates (RFC 8446 section 4.6.3)
cost who asks for them as much as who answers."""
_NONE = memoryview(b"")


class Outgoing:
    """The ciphertext of one connection."""

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
