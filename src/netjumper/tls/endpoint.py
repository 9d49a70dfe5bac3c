"""TLS on a socket: an endpoint that sends and receives through a TLS `Engine`.

Neither `SSLSocket` nor asyncio's transport can end one direction and continue the other, which a
tunnel needs: RFC 8446 section 6.1 lets each side close its own. An end without `close_notify` is
reported as an error, as a reset is.

`send` encrypts what it takes at once. If the socket has no room for all of it, the rest waits in
the engine: at most `MAX_CALL_BYTES`, and nothing more is taken before the rest has left.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from netjumper.net.endpoint import RESET_TIMEOUT_S, Endpoint
from netjumper.tls.engine import MAX_CALL_BYTES, MAX_EMPTY_FILLS, MAX_READS, Check, Engine, Wrap


class TlsEndpoint(Endpoint):
    """One connected stream socket with TLS on it.

    The handshake begins at once; what is sent before its end waits for that.

    Args:
        loop: the running loop.
        sock: a connected socket in non-blocking mode; the endpoint owns it from here on.
        wrap: makes a TLS connection between two buffers.
        check: checks the peer when the handshake is complete.
    """

    max_send = MAX_CALL_BYTES

    __slots__ = (
        "_callback",
        "_closing",
        "_ends",
        "_engine",
        "_fin_is_due",
        "_is_called_again",
        "_on_room",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, wrap: Wrap, check: Check
    ) -> None:
        super().__init__(loop, sock)
        self._engine = Engine(wrap, check)
        self._is_called_again = False
        self._ends = False
        """The stream must end as soon as the handshake is complete."""
        self._fin_is_due = False
        """The stream must end as soon as everything was sent."""
        self._callback: Callable[[], None] | None = None
        self._on_room: Callable[[], None] | None = None
        self._closing: asyncio.TimerHandle | None = None
        if self._engine.begins:
            with contextlib.suppress(OSError):  # it waits for the server; `recv` reports a loss
                self._shake_hands()

    @property
    def is_established(self) -> bool:
        """Whether the handshake is complete."""
        return self._engine.is_established

    @property
    def has_heard(self) -> bool:
        """Whether the peer has sent anything, be it TLS or not."""
        return self._engine.is_established or self._engine.incoming.without_data > 0

    @property
    def plain_fd(self) -> None:
        """None: what is on the socket is encrypted."""
        return

    @property
    def has_no_input(self) -> bool:
        """Whether there is nothing to receive, not even the end."""
        return self._engine.is_read_up and super().has_no_input

    @property
    def holds_plaintext(self) -> bool:
        """Whether something has been decrypted that was not asked for yet."""
        return bool(self._engine.plaintext)

    def start_reading(self, callback: Callable[[], None]) -> None:
        """Call `callback` as long as there is something to receive, or the end."""
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
        """Call the callback for what was received already: the selector does not report it."""
        is_due = self._callback is not None and not self._engine.is_read_up
        if is_due and not self._is_called_again:
            self._is_called_again = True
            self._loop.call_soon(self._read_rest)

    def _read_rest(self) -> None:
        self._is_called_again = False
        if not self._engine.is_read_up:
            self._readable()

    def start_writing(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever there is room to send."""
        self._on_room = callback
        super().start_writing(self._writable)

    def stop_writing(self) -> None:
        """End what `start_writing` began; what was taken is still sent."""
        self._on_room = None
        if not self._engine.outgoing:
            super().stop_writing()

    def _writable(self) -> None:
        lost = False
        try:
            self._flush()
        except OSError:
            lost = True
        if self._engine.outgoing and not lost:
            return
        if self._closing is not None:
            self._close_now()
        elif self._on_room is not None:
            self._on_room()
        else:
            super().stop_writing()

    def recv(self, limit: int) -> bytes | None:
        """Return up to `limit` bytes, `b""` at the end, None if nothing is there (`recv_into`)."""
        buffer = bytearray(limit)
        count = self.recv_into(memoryview(buffer))
        return None if count is None else bytes(buffer[:count])

    def recv_into(self, buffer: memoryview) -> int | None:
        """Receive into `buffer`; the count, 0 at the end of the stream, None if nothing is there.

        One call decrypts a limited number of records; the callback is called again for the rest.

        Raises:
            ssl.SSLError: the peer is the wrong one, or does not speak TLS.
            OSError: the connection is lost, or ended without `close_notify`.
        """
        engine = self._engine
        if engine.has_failed and self._ends:  # what still comes is thrown away
            return 0 if super().recv(MAX_CALL_BYTES) == b"" else None
        count = engine.take_plaintext(buffer) if engine.plaintext else 0
        reads = fills = 0
        while count < len(buffer) and reads < MAX_READS:
            try:
                if not engine.is_established:
                    self._shake_hands()
                count += engine.decrypt(buffer[count:])
                reads, fills = reads + 1, 0
            except ssl.SSLZeroReturnError:
                return count
            except ssl.SSLWantReadError:
                engine.outgoing.flush_answers(super().send)
                fills += 1
                if fills > MAX_EMPTY_FILLS or not self._fill_behind(count):
                    return count or None
            except OSError:
                if not count:
                    raise
                return count  # the next call meets it again
        return count

    def at_eof(self) -> bool:
        """Return whether there is nothing to receive but the end, as `Endpoint.at_eof` does."""
        found = self.recv(1)
        self._engine.plaintext = (found or b"") + self._engine.plaintext
        return found == b""

    def _fill_behind(self, count: int) -> bool:
        """Receive what is there; a loss does not take away the `count` bytes that came before."""
        try:
            return self._engine.incoming.fill(super().recv)
        except OSError:
            if not count:
                raise
            return False  # the next call meets it again

    def shake_hands(self) -> bool:
        """Continue the handshake, but take nothing after it; return whether it is complete."""
        while not self._engine.is_established:
            try:
                self._shake_hands()
            except ssl.SSLWantReadError:
                if not self._engine.incoming.fill(super().recv):
                    return False
        return True

    def _shake_hands(self) -> None:
        try:
            self._engine.shake_hands()
        finally:
            with contextlib.suppress(OSError):  # what was received before a loss still counts
                self._send_on()
        if self._ends:
            self._end()

    def send(self, data: bytes | memoryview) -> int:
        """Take what there is room for and return how many bytes that was.

        Raises:
            OSError: the connection is lost.
        """
        engine = self._engine
        if not engine.is_established:
            return engine.send_early(data)
        self._send_on()
        if engine.outgoing:
            return 0
        taken = data[:MAX_CALL_BYTES]
        engine.encrypt(taken)
        self._send_on()
        return len(taken)

    def send_with_next(self, data: bytes) -> int:
        """Take `data`, and send it with what is sent next, or when `push` is called."""
        self._engine.cork(data)
        return len(data)

    def push(self) -> None:
        """Send what `send_with_next` holds back."""
        with contextlib.suppress(OSError):  # the connection may be closed by now
            if self._engine.uncork():
                self._send_on()

    def _send_on(self) -> None:
        """Send what there is room for, and the rest when there is."""
        self._flush()
        if self._engine.outgoing:
            super().start_writing(self._writable)

    @property
    def has_unsent(self) -> bool:
        """Whether something that was taken is not with the kernel yet."""
        return bool(self._engine.outgoing)

    def _flush(self) -> None:
        self._engine.outgoing.flush(super().send)
        if self._fin_is_due and not self._engine.outgoing:
            self._fin_is_due = False
            super().shutdown_write()

    def shutdown_write(self) -> None:
        """End this direction after everything that was sent; receiving continues.

        If the handshake has failed, the alert is sent, and what comes then is thrown away.

        Raises:
            OSError: the connection is lost.
        """
        if self._engine.is_established:
            self._end()
            return
        self._ends = True
        if self._engine.has_failed:
            self._engine.drop_incoming()
            self._fin_is_due = True
            self._send_on()

    def _end(self) -> None:
        self._engine.end()
        self._fin_is_due = True
        self._call_again()
        self._send_on()

    def unacknowledged(self) -> int:
        """Return how many bytes the peer's kernel does not have yet; 0 if that is unknown."""
        with contextlib.suppress(OSError):
            self._flush()
        return 0 if self.is_lost else super().unacknowledged() + len(self._engine.outgoing)

    def close(self) -> None:
        """Close for good, after everything that was sent; may be called again."""
        if self._closing is not None:
            return
        self.stop_reading()
        self._on_room = None
        try:
            if self._engine.is_established:
                self._end()
        except OSError:
            self._engine.outgoing.drop()
        if self._engine.outgoing:
            self._closing = self._loop.call_later(RESET_TIMEOUT_S, self._close_now)
        else:
            self._close_now()

    def _close_now(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
        self._engine.outgoing.drop()
        super().close()

    def reset(self) -> None:
        """Reset the connection at once: what the peer does not have yet is lost."""
        self._engine.outgoing.drop()
        super().reset()

    def abort(self) -> None:
        """Reset the connection, once the peer has what was sent before."""
        self._callback = self._on_room = None
        super().stop_writing()  # `unacknowledged` flushes
        super().abort()
