"""The driver of `Forwarding`: it moves the bytes between client and target."""

from time import monotonic

from netjumper.bridge.http.exchange import ConnectionEnd, Exchange
from netjumper.bridge.http.forwarding import Forwarding
from netjumper.bridge.http.handshake import AuthorizedRequest
from netjumper.bridge.http.target_connection import TargetConnection
from netjumper.bridge.http.write_buffer import WriteBuffer
from netjumper.errors import AuthenticationError, NetjumperError
from netjumper.net.connector import Connector
from netjumper.net.deadlines import Deadlines
from netjumper.net.user_timeout import suspend_user_timeout
from netjumper.protocol.handshake import EndOfStream
from netjumper.relay.ending import RelayEnd
from netjumper.sessions.handshake_phase import READ_SIZE
from netjumper.sessions.session import Handoff, Session, SessionContext

MAX_BUFFERED_BYTES = 256 * 1024
"""Bytes buffered for a slow side; above this, the other side is not read."""
KEEP_ALIVE_S = 75.0
"""Seconds that a client's connection may be idle between two requests. Browsers close theirs
earlier."""


class ForwardingSession(Session):
    """A session that forwards a client's plain HTTP requests.

    Args:
        context: shared by all sessions.
        upstream: connects to the targets.
        request: the first request.
        client: the client's side of the session.
        name: the bridge's name in Via.
        idle: expires sessions that wait too long for another request.
    """

    def __init__(
        self,
        context: SessionContext,
        upstream: Connector,
        request: AuthorizedRequest,
        client: Handoff,
        name: bytes,
        idle: "Deadlines[ForwardingSession]",
    ) -> None:
        super().__init__(context, client)
        self._idle = idle
        client.endpoint.reset_on_exit()
        self._to_client = WriteBuffer(client.endpoint, self._update)
        self._target = TargetConnection(upstream, self._opened, self._failed, self._update)
        self._last: Exchange | None = None
        self._over = False
        self._continues = False
        """`_process_more` is called in the next turn of the loop."""
        self._left = 0
        self._has_left = False
        """The client had ended its stream at the last check, and its answer had not begun."""
        self.bytes_up = self.bytes_down = 0
        if context.idle is not None:
            context.idle.add(self)
        self._forwarding = Forwarding(request, name=name, clock=monotonic, done=self._log)
        if client.ended:
            self._forwarding.receive_from_client(b"")
        context.loop.call_soon(self._update)

    @property
    def requested(self) -> bool:
        """Whether a request is being served, or its answer being sent."""
        return not self._forwarding.idle or bool(self._to_client)

    def begin_shutdown(self) -> None:
        """Finish the current request, then end."""
        if self._is_quiet:
            self.close()
        else:
            self._forwarding.begin_shutdown()
            self._update()

    def stop(self, ending: RelayEnd = RelayEnd.SHUTDOWN) -> None:
        """End the session now."""
        if self._relay is not None:
            self._relay.stop(ending)
        elif self._is_quiet:
            self.close()
        elif ending is RelayEnd.IDLE and self._forwarding.expire():
            self._update()
        else:
            self._abort(ending.value)

    @property
    def _is_quiet(self) -> bool:
        """Whether the client's connection can be closed without loss."""
        is_idle = self._forwarding.idle and not self._to_client
        return is_idle or self in self._context.lingering

    def suspend_timeouts(self, milliseconds: int) -> None:
        """Suspend the TCP user timeout of a side that is alive but does not read, or restore it."""
        super().suspend_timeouts(milliseconds)
        if self._relay is None:
            for end in (self._client, self._target.end):
                if end is not None:
                    suspend_user_timeout(end, milliseconds)

    def check_unread(self) -> None:
        """End if the client was reset, or ended its stream and waits for an answer too long.

        HTTP clients do not end their stream before the answer: one that did has left. The kernel
        does not tell that before something is sent, so squid and privoxy take it as the end too.
        """
        super().check_unread()
        if self._over or self._relay is not None or self._client.is_read:
            return
        had_left, self._has_left = self._has_left, False
        if self._client.is_lost:
            self._abort("the client reset the connection")
        elif self._client_ended and self._forwarding.awaits_answer:
            self._has_left = True
            if had_left:
                self._abort("the client left before the answer")

    def close(self) -> None:
        """Close both sides without a log line."""
        self._target.drop()
        super().close()

    def expire(self) -> None:
        """End the session after `KEEP_ALIVE_S`, unless the client still reads its last answer."""
        left, self._left = self._left, len(self._to_client) + self._client.unacknowledged()
        if not self._to_client:
            self.close()
        elif self._left != left:
            self._idle.add(self)
        else:
            self._abort("the client does not read its answer")

    def _update(self) -> None:
        """Carry out what the state machine requires, as far as possible now."""
        forwarding = self._forwarding
        if self._over or self._relay is not None:
            return
        self._to_client.send(forwarding.data_to_client())
        if self._to_client.lost:
            self._abort("the connection to the client was lost")
            return
        if forwarding.must_close_target:
            forwarding.must_close_target = False
            self._target.drop()
        to_open = None if self._target.is_opening else forwarding.target_to_open
        if to_open is not None and not self._target.open(to_open):
            return
        self._target.send(forwarding.data_to_target())
        if forwarding.connection_end is not None:
            self._finish(forwarding.connection_end)
            return
        self._update_reading()
        self._update_idle_timer()
        if forwarding.has_more and not self._continues:
            self._continues = True
            self._context.loop.call_soon(self._process_more)

    def _process_more(self) -> None:
        """Process what was received in an earlier turn of the loop."""
        self._continues = False
        if not self._over and self._forwarding.has_more:
            self._forwarding.advance()
            self._update()

    def _opened(self) -> None:
        self._forwarding.target_opened()
        self._update()

    def _failed(self, error: NetjumperError) -> None:
        self._forwarding.target_failed(error)
        self._update()

    def _update_reading(self) -> None:
        target = self._target.end
        if self._forwarding.has_more:
            self._client.stop_reading()
            if target is not None:
                target.stop_reading()
            return
        buffered = self._target.waiting + self._forwarding.waiting
        if self._forwarding.idle:  # the bridge's own answers to rejected requests
            buffered += len(self._to_client)
        if buffered >= MAX_BUFFERED_BYTES or self._client_ended:
            self._client.stop_reading()
        elif not self._client.is_read:
            self._client.start_reading(self._on_client)
        if target is None:
            return
        if len(self._to_client) >= MAX_BUFFERED_BYTES:
            target.stop_reading()
        elif not target.is_read:
            target.start_reading(self._on_target)

    def _update_idle_timer(self) -> None:
        if not self._forwarding.idle:
            self._idle.remove(self)
        elif self not in self._idle:
            self._idle.add(self)

    def _on_client(self) -> None:
        try:
            data = self._client.recv(READ_SIZE)
        except OSError as error:
            self._abort(error.strerror or str(error))
            return
        if data is None:
            return
        if not data:
            self._client_ended = True
            self._client.stop_reading()
        self.bytes_up += len(data)
        self._forwarding.receive_from_client(data)
        self._update()

    def _on_target(self) -> None:
        target = self._target.end
        if target is None:
            return
        try:
            data = target.recv(READ_SIZE)
        except OSError:
            target.stop_reading()
            self._forwarding.target_lost()
        else:
            if data is None:
                return
            if not data:
                target.stop_reading()
            self.bytes_down += len(data)
            self._forwarding.receive_from_target(data)
        self._update()

    def _finish(self, end: ConnectionEnd) -> None:
        """End as the state machine requires, once everything for the client was sent."""
        if end is ConnectionEnd.SWITCHED:
            self._switch()
            return
        if self._to_client:
            self._update_reading()
            return
        self._over = True
        self._stop_timers()
        self._target.drop()
        if end is ConnectionEnd.RESET:
            self._client.abort()
            self._forget()
        elif end is ConnectionEnd.TUNNEL:
            self._context.resume(self._forwarding.tunnel(), self._hand_off())
        else:
            self._linger()

    def _switch(self) -> None:
        """Start a relay, as the bytes after a 101 are not HTTP."""
        target = self._target.end
        if target is None:
            return
        up, down = self._forwarding.rest()
        self._stop_timers()
        self._start_relay(
            target, up=self._target.take_back() + up, down=self._to_client.take_back() + down
        )

    def _relayed(self, ending: RelayEnd) -> None:
        if self._relay is not None and self._last is not None:
            relay = self._relay
            self._log_exchange(self._last, relay.bytes_up, relay.bytes_down, ending.value)
        self._forget()

    def _abort(self, reason: str) -> None:
        if self._forwarding.idle and self._to_client and self._last is not None:
            # The exchange was logged as done when the whole answer came from the target.
            self._last.error = EndOfStream(reason)
            self._log(self._last)
        self._forwarding.client_lost(reason)
        self._target.drop()
        self._client.abort()
        self._forget()

    def _forget(self) -> None:
        self._over = True
        self._stop_timers()
        super()._forget()

    def _stop_timers(self) -> None:
        self._idle.remove(self)
        if self._context.idle is not None:
            self._context.idle.remove(self)

    def _log(self, exchange: Exchange) -> None:
        self._last = exchange
        if isinstance(exchange.error, AuthenticationError):
            self._context.admission.auth_failed(self._peer)
        self._log_exchange(exchange, exchange.bytes_up, exchange.bytes_down, exchange.ending)

    def _log_exchange(self, exchange: Exchange, up: int, down: int, ending: str) -> None:
        self._log_end(
            client=exchange.client,
            target=exchange.target or "",
            bytes_up=up,
            bytes_down=down,
            began=exchange.began,
            ending=ending,
            failed=exchange.error is not None,
            kind=type(exchange.error).__name__ if exchange.error else "",
        )
