"""TLS on a socket: an endpoint whose bytes are encrypted on their way (RFC 8446).

It is `ssl.SSLObject` between two memory buffers. Neither `SSLSocket` nor asyncio's transport can
end one direction and go on with the other, which a tunnel has to: RFC 8446 section 6.1 has each
side close its own. An end without `close_notify` is a cut, and told like a reset.

What is given to `send` is encrypted at once, and waits here where the socket has no room for all of
it: at most `AT_ONCE` bytes, and nothing more is taken before they have left.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from netjumper.net.endpoint import RESET_TIMEOUT_S, Endpoint
from netjumper.tls.engine import AT_ONCE, Incoming, Outgoing

Check = Callable[[ssl.SSLObject], None]
"""Called when a handshake is through; raises an `ssl.SSLError` for a peer that is the wrong one."""


class TlsEndpoint(Endpoint):
    """One connected stream socket with TLS on it.

    The handshake begins at once, and goes on with what is received; what is sent before its end
    waits for that.

    Args:
        loop: the running loop.
        sock: a connected socket in non-blocking mode; the endpoint owns it from here on.
        wrap: makes a TLS connection between two buffers: `SSLContext.wrap_bio` with its options.
        check: looks at the peer when the handshake is through.
    """

    __slots__ = (
        "_callback",
        "_check",
        "_closing",
        "_early",
        "_ends",
        "_fin_is_due",
        "_has_failed",
        "_incoming",
        "_is_called_again",
        "_next",
        "_on_room",
        "_outgoing",
        "_plaintext",
        "_tls",
        "is_established",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        wrap: Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject],
        check: Check,
    ) -> None:
        super().__init__(loop, sock)
        self._incoming, self._outgoing = Incoming(), Outgoing()
        self._tls = wrap(self._incoming.bio, self._outgoing.bio)
        self._check = check
        self.is_established = False
        """Whether the handshake is through."""
        self._early = b""
        """What was sent before the handshake's end."""
        self._next = b""
        """What is to leave with what is sent next."""
        self._plaintext = b""
        """Decrypted before it was asked for."""
        self._is_called_again = False
        self._ends = False
        """The stream is to end once the handshake is through."""
        self._fin_is_due = False
        """That it ends is the last of what is going out."""
        self._has_failed = False
        """The handshake came to nothing; an alert that says why is going out."""
        self._callback: Callable[[], None] | None = None
        self._on_room: Callable[[], None] | None = None
        self._closing: asyncio.TimerHandle | None = None
        if not self._tls.server_side:
            with contextlib.suppress(OSError):  # it waits for the server; a loss is met in `recv`
                self._shake_hands()

    @property
    def plain_fd(self) -> None:
        """There is none: what is on the socket is encrypted."""
        return

    @property
    def has_no_input(self) -> bool:
        """Whether there is nothing to receive, not even the end."""
        return self._is_read_up and super().has_no_input

    @property
    def holds_plaintext(self) -> bool:
        """Whether there is something that has been decrypted and not been asked for."""
        return bool(self._plaintext)

    @property
    def _is_read_up(self) -> bool:
        """Whether all that was received has been asked for."""
        return self._incoming.is_empty and not self._plaintext

    def start_reading(self, callback: Callable[[], None]) -> None:
        """Have `callback` called as long as there is something to receive, or the end."""
        self._callback = callback
        super().start_reading(self._readable)
        self._call_again()

    def stop_reading(self) -> None:
        """Leave what comes in where it is."""
        self._callback = None
        super().stop_reading()

    def _readable(self) -> None:
        if self._callback is not None:
            self._callback()
            self._call_again()

    def _call_again(self) -> None:
        """See to what the selector knows nothing of: it is received, and not asked for yet."""
        if not self._is_read_up and self._callback is not None and not self._is_called_again:
            self._is_called_again = True
            self._loop.call_soon(self._read_rest)

    def _read_rest(self) -> None:
        self._is_called_again = False
        if not self._is_read_up:
            self._readable()

    def start_writing(self, callback: Callable[[], None]) -> None:
        """Have `callback` called whenever there is room to send."""
        self._on_room = callback
        super().start_writing(self._writable)

    def stop_writing(self) -> None:
        """End what `start_writing` began; what has been sent goes on to leave."""
        self._on_room = None
        if not self._outgoing:
            super().stop_writing()

    def _writable(self) -> None:
        lost = False
        try:
            self._flush()
        except OSError:
            lost = True
        if self._outgoing and not lost:
            return
        if self._closing is not None:
            self._close_now()
        elif self._on_room is not None:
            self._on_room()
        else:
            super().stop_writing()

    def recv(self, limit: int) -> bytes | None:
        """Return up to `limit` bytes, `b""` at the end of the stream, None if nothing is there.

        Raises:
            ssl.SSLError: the peer is not who it should be, or what it sends is not TLS.
            OSError: the connection is lost, or was cut.
        """
        if self._plaintext:
            data, self._plaintext = self._plaintext[:limit], self._plaintext[limit:]
            return data
        buffer = bytearray(limit)
        count = self.recv_into(memoryview(buffer))
        return None if count is None else bytes(buffer[:count])

    def recv_into(self, buffer: memoryview) -> int | None:
        """Receive into `buffer`; the count, 0 at the end of the stream, None if nothing is there.

        Raises:
            ssl.SSLError: the peer is not who it should be, or what it sends is not TLS.
            OSError: the connection is lost, or was cut.
        """
        if self._has_failed and self._ends:  # nobody's any more
            return 0 if super().recv(AT_ONCE) == b"" else None
        count = len(self._plaintext[: len(buffer)])
        buffer[:count], self._plaintext = self._plaintext[:count], self._plaintext[count:]
        while count < len(buffer):
            try:
                count += self._decrypt(buffer[count:])
            except ssl.SSLZeroReturnError:
                return count
            except ssl.SSLWantReadError:
                self._outgoing.answer(super().send)
                if not self._fill_behind(count):
                    return count or None
            except OSError:
                if not count:
                    raise
                return count  # it is met again
        return count

    def at_eof(self) -> bool:
        """Return whether there is nothing to receive but the end; it stays to be received.

        Raises:
            ssl.SSLError: the peer is not who it should be, or what it sends is not TLS.
            OSError: the connection is lost, or was cut.
        """
        found = self.recv(1)
        self._plaintext = (found or b"") + self._plaintext
        return found == b""

    def _decrypt(self, buffer: memoryview) -> int:
        """Return how many bytes came out.

        Raises:
            ssl.SSLZeroReturnError: the peer has ended its direction.
            ssl.SSLWantReadError: more has to be received first.
            ssl.SSLError: it is no TLS, or a cut.
        """
        if not self.is_established:
            self._shake_hands()
        count = self._tls.read(len(buffer), buffer)
        if not count:
            raise ssl.SSLZeroReturnError
        return int(count)

    def _fill_behind(self, count: int) -> bool:
        """Receive what is there; a loss does not take away the `count` bytes that came before."""
        try:
            return self._incoming.fill(super().recv)
        except OSError:
            if not count:
                raise
            return False  # it is met again, as a cut

    def shake_hands(self) -> bool:
        """Go on with the handshake, without taking what comes behind it.

        Returns:
            Whether it is through; otherwise more has to be received first.

        Raises:
            ssl.SSLError: the peer is not who it should be, or what it sends is not TLS.
            OSError: the connection is lost, or was cut.
        """
        while not self.is_established:
            try:
                self._shake_hands()
            except ssl.SSLWantReadError:
                if not self._incoming.fill(super().recv):
                    return False
        return True

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
            self._check(self._tls)
        except ssl.SSLError as error:
            self._has_failed = not isinstance(error, ssl.SSLWantReadError)
            raise
        finally:
            with contextlib.suppress(OSError):  # what was received before a loss is still to come
                self._send_on()
        self.is_established = True
        early, self._early = self._early, b""
        if early:
            self._encrypt(early)
        if self._ends:
            self._end()

    def send(self, data: bytes | memoryview) -> int:
        """Take what there is room for and return how many bytes that was.

        Raises:
            OSError: the connection is lost.
        """
        if not self.is_established:
            early = bytes(data[: AT_ONCE - len(self._early)])
            self._early += early
            return len(early)
        self._send_on()
        if self._outgoing:
            return 0
        taken = data[:AT_ONCE]
        before, self._next = self._next, b""
        self._encrypt(before + bytes(taken) if before else taken)
        return len(taken)

    def send_with_next(self, data: bytes) -> int:
        """Take it, and send it together with what is sent next, or when it is `push`ed."""
        self._next += data
        return len(data)

    def push(self) -> None:
        """Have what `send_with_next` holds back leave now."""
        before, self._next = self._next, b""
        if before:
            with contextlib.suppress(OSError):  # it was closed meanwhile
                self._encrypt(before)

    def _encrypt(self, data: bytes | memoryview) -> None:
        self._outgoing.encrypt(self._tls, data)
        self._send_on()

    def _send_on(self) -> None:
        """Send what there is room for, and the rest when there is."""
        self._flush()
        if self._outgoing:
            super().start_writing(self._writable)

    @property
    def has_unsent(self) -> bool:
        """Whether something that was sent is not with the kernel yet."""
        return bool(self._outgoing)

    def _flush(self) -> None:
        self._outgoing.flush(super().send)
        if self._outgoing:
            return
        if self._fin_is_due:
            self._fin_is_due = False
            super().shutdown_write()

    def shutdown_write(self) -> None:
        """Say that no more will be sent, behind all that was; receiving goes on.

        Where the handshake has failed that is the alert, and what comes then is thrown away.

        Raises:
            OSError: the connection is lost.
        """
        if self.is_established:
            self._end()
            return
        self._ends = True
        if self._has_failed:
            self._incoming, self._fin_is_due = Incoming(), True
            self._send_on()

    def _end(self) -> None:
        self.push()
        # OpenSSL refuses to end where there is something that it has decrypted.
        while (more := self._what_is_there()) is not None:
            self._plaintext += more
        with contextlib.suppress(ssl.SSLError):  # it waits for the peer's end, as we do not
            self._tls.unwrap()
        self._fin_is_due = True
        self._call_again()
        self._send_on()

    def _what_is_there(self) -> bytes | None:
        try:
            return self._tls.read(AT_ONCE) or None
        except ssl.SSLError:
            return None

    def unacknowledged(self) -> int:
        """How many bytes are not with the peer's kernel yet; 0 where that cannot be told."""
        with contextlib.suppress(OSError):
            self._flush()
        return 0 if self.is_lost else super().unacknowledged() + len(self._outgoing)

    def close(self) -> None:
        """Close for good, behind all that was sent; may be called again."""
        if self._closing is not None:
            return
        self.stop_reading()
        self._on_room = None
        try:
            if self.is_established:
                self._end()
        except OSError:
            self._outgoing.drop()
        if self._outgoing:
            self._closing = self._loop.call_later(RESET_TIMEOUT_S, self._close_now)
        else:
            self._close_now()

    def _close_now(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
        self._outgoing.drop()
        super().close()

    def reset(self) -> None:
        """Reset the connection at once: what the peer does not have yet is lost."""
        self._outgoing.drop()  # nobody is to wait for room for it
        super().reset()

    def abort(self) -> None:
        """Reset the connection, once the peer has what was sent before."""
        self._callback = self._on_room = None
        super().stop_writing()  # `unacknowledged` sends on
        super().abort()
