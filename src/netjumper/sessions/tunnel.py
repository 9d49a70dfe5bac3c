"""A tunnel: one accepted connection, from its first byte to its last.

    handshake  ->  opening  ->  relay          the normal course
        \\__________\\_______->  lingering      refused: the reason is sent, then the end

A `HandshakePhase` reads the request. Then the connector of the client's account opens the
connection to the target, and a `Relay` pipes the two. The jump server (netjumper handshake, then a
dial) and the bridge (SOCKS or HTTP, then a jump host) use the same tunnels; handshake and connector
are given to them.
"""

import errno
import logging
import os
from time import monotonic

from netjumper.access_log import NEVER_SUPPRESSED, describe
from netjumper.errors import NetjumperError
from netjumper.net.connector import PendingConnection
from netjumper.net.endpoint import Endpoint
from netjumper.protocol.handshake import TunnelRequest
from netjumper.relay.ending import RelayEnd
from netjumper.sessions.admission import Account
from netjumper.sessions.handshake_phase import (
    READ_SIZE,
    AnyHandshake,
    ChooseHandshake,
    HandshakePhase,
    send_answer,
)
from netjumper.sessions.session import Handoff, Session, SessionContext

MAX_READ_AHEAD_BYTES = 64 * 1024
"""Bytes received from a client while its target is being reached; then it is not read further."""


class Tunnel(Session):
    """A session that is a tunnel, or becomes one if its client requests that."""

    __slots__ = (
        "_account",
        "_early",
        "_handshake",
        "_opening",
        "_phase",
        "_request",
        "_started",
        "_success_sent",
    )

    def __init__(self, context: SessionContext, client: Handoff) -> None:
        super().__init__(context, client)
        self._phase: HandshakePhase | None = None
        """Reads the client until its request is complete."""
        self._handshake: AnyHandshake | None = None
        """Answers the request; None before it is complete and after it is answered."""
        self._request: TunnelRequest | None = None
        self._opening: PendingConnection | None = None
        self._account: Account | None = None
        self._success_sent = False
        """Success was reported before the target was reached."""
        self._early = 0
        """Bytes sent to the target before it was known to be reached."""
        self._started = 0.0

    @property
    def requested(self) -> bool:
        """Whether the client has completed a request that is being served."""
        return self._relay is not None or self._opening is not None

    def start(self, choose: ChooseHandshake, speaks_first: bool) -> None:
        """Read the client's request.

        Args:
            choose: returns the handshake.
            speaks_first: the handshake begins with the server's bytes.
        """
        phase = self._phase = HandshakePhase(
            self._context.handshakes, self, self._client, self._peer, choose
        )
        phase.start(speaks_first)

    def resume(self, handshake: AnyHandshake) -> None:
        """Serve a request that another session has read."""
        self._started = monotonic()
        self._serve(handshake)

    def handshake_done(self, handshake: AnyHandshake) -> None:
        """Serve the request."""
        self._end_handshake()
        self._serve(handshake)

    def handshake_refused(self, error: NetjumperError) -> None:
        """Log the refusal and wait until the client has received the reason."""
        self._end_handshake()
        self._log(describe(error), failed=True)
        self._linger()

    def handshake_failed(self, reason: str) -> None:
        """Log the failure; the connection is closed already."""
        self._end_handshake()
        self._over(reason, failed=True)

    def reset(self) -> None:
        """Reset the connection immediately: it is not authenticated, and its place is needed."""
        self._client.reset()
        self._forget()

    def begin_shutdown(self) -> None:
        """Serve the request if it is complete, and end otherwise."""
        if not self.requested:
            self.stop()

    def stop(self) -> None:
        """Abort the session in any state."""
        if self._relay is not None:
            self._relay.stop(RelayEnd.SHUTDOWN)
        elif self._handshake is not None or (self._phase is not None and self._phase.has_request):
            self._client.abort()
            self.handshake_failed(RelayEnd.SHUTDOWN.value)
        else:
            self.close()

    def check_unread(self) -> None:
        """End if the client was reset while its target is being reached, or see `Session`."""
        super().check_unread()
        if self._opening is not None and not self._client.is_read and self._client.is_lost:
            self._lost(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def _end_handshake(self) -> None:
        phase, self._phase = self._phase, None
        if phase is not None:
            phase.end()
            self._client_ended = phase.client_ended
            self._started = phase.started

    def _serve(self, handshake: AnyHandshake) -> None:
        request = handshake.result
        if not isinstance(request, TunnelRequest):
            self._context.hand_off(request, self._hand_off())
            return
        self._handshake = handshake
        self._request = request
        if not self._client_ended:
            self._client.start_reading(self._on_readable)
        self._open(request, handshake)

    def _open(self, request: TunnelRequest, handshake: AnyHandshake) -> None:
        try:
            account = self._account = self._context.admission.open(
                request.client, self._peer, request.target
            )
            opening = self._opening = account.connector.connect(
                request.target, self._opened, self._open_failed
            )
        except NetjumperError as error:  # a limit is reached, or the target is not possible
            self._open_failed(error)
            return
        if opening.optimistic:
            self._success_sent = True
            self._client.reset_on_exit()
            handshake.accept()
            try:
                send_answer(self._client, handshake)
            except OSError as error:
                self._lost(error)
                return
            self._forward_early(handshake)

    def _on_readable(self) -> None:
        """Receive what the client sends while its target is being reached."""
        try:
            data = self._client.recv(READ_SIZE)
        except OSError as error:
            self._lost(error)
            return
        handshake = self._handshake
        if data is None or handshake is None:
            return
        if not data:
            self._client_ended = True
            self._client.stop_reading()
        handshake.receive_data(data)
        self._forward_early(handshake)

    def _forward_early(self, handshake: AnyHandshake) -> None:
        """Send as much of the client's data as the target can receive early; limit the rest."""
        opening = self._opening
        budget = opening.early_data_budget if self._success_sent and opening is not None else 0
        if opening is not None and (data := handshake.trailing_data(budget)):
            self._early += len(data)
            opening.send_early(data)
        if handshake.trailing_size >= MAX_READ_AHEAD_BYTES:
            self._client.stop_reading()

    def _opened(self, target: Endpoint) -> None:
        handshake, self._handshake = self._handshake, None
        self._opening = None
        assert handshake is not None  # noqa: S101 - only an opening tunnel gets here
        if (log := self._context.log).isEnabledFor(logging.DEBUG):
            self._log_opened(log)
        if not self._success_sent:
            handshake.accept()
        up, down = handshake.trailing_data(), handshake.data_to_send()
        if up and handshake.corks_success:
            down = self._cork(down)
        account = self._account
        bandwidth = None if account is None else account.bandwidth
        self._start_relay(target, up=up, down=down, early=self._early, bandwidth=bandwidth)

    def _log_opened(self, log: logging.Logger) -> None:
        """Log that the tunnel is open: its access record comes only when it ends."""
        request = self._request
        assert request is not None  # noqa: S101 - only an opening tunnel gets here
        source = f"{self._peer} ({request.client})" if request.client else self._peer
        seconds = monotonic() - self._started
        log.debug(
            "%s -> %s: opened after %.3f s", source, request.target, seconds, extra=NEVER_SUPPRESSED
        )

    def _cork(self, answer: bytes) -> bytes:
        """Hold the answer back for the target's first bytes; return what could not be corked."""
        try:
            answer = answer[self._client.send_with_next(answer) :]
        except OSError:
            return answer  # the relay will notice
        self._context.corked.add(self._client)
        return answer

    def _open_failed(self, error: NetjumperError) -> None:
        handshake, self._handshake = self._handshake, None
        self._opening = None
        assert handshake is not None  # noqa: S101 - only an opening tunnel gets here
        if self._success_sent:
            self._client.abort()  # not a clean end: the target's data is not complete
            self._over(f"{describe(error)} (after an early success)", failed=True)
            return
        self._close_account()  # a client that is being refused has no tunnel
        handshake.reject(error)
        try:
            send_answer(self._client, handshake)
        except OSError as lost:
            self._lost(lost)
        else:
            self.handshake_refused(error)

    def _close_account(self) -> None:
        account, self._account = self._account, None
        if account is not None:
            self._context.admission.close(account, self._peer)

    def _relayed(self, ending: RelayEnd) -> None:
        self._over(ending.value, failed=False)

    def _lost(self, error: OSError) -> None:
        self._client.abort()
        self._over(error.strerror or str(error), failed=True)

    def _over(self, ending: str, *, failed: bool) -> None:
        self._log(ending, failed=failed)
        self._forget()

    def _forget(self) -> None:
        self._end_handshake()
        self._handshake = None
        self._close_account()
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        self._context.admission.remove_pending(self)
        super()._forget()

    def _log(self, ending: str, *, failed: bool) -> None:
        request, relay = self._request, self._relay
        self._log_end(
            client=request.client if request else "",
            target=request.target if request else "",
            bytes_up=relay.bytes_up if relay else 0,
            bytes_down=relay.bytes_down if relay else 0,
            began=self._started,
            ending=ending,
            failed=failed,
            kind=ending.partition(":")[0] if failed else "",
        )
