"""The handshake phase of a session: from an accepted connection to its complete request.

The jump server and the bridge use the same phase. The caller chooses the handshake protocol. Until
the request is complete, the connection counts as pending in `Admission`, which limits how many
there may be. A client that is authenticated but has not named a target yet is parked.
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from netjumper.access_log import describe
from netjumper.errors import (
    AuthenticationError,
    HandshakeTimeout,
    NetjumperError,
)
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.protocol.handshake import ListeningHandshake
from netjumper.sessions.admission import Admission, Pending
from netjumper.sessions.parked_sessions import ParkedSessions
from netjumper.tls.endpoint import TlsEndpoint
from netjumper.tls.errors import failure_of, is_no_tls, is_wrong_key

READ_SIZE = 64 * 1024
"""Bytes to receive from a client at once."""
TLS_SILENCE_S = 1.0
"""Seconds: what leaves a TLS port earlier without a byte is a health check or a port scan."""

AnyHandshake = ListeningHandshake[object]
"""Its result is a `TunnelRequest` or a request that `SessionContext.hand_off` can serve."""

ChooseHandshake = Callable[[bytes], AnyHandshake]
"""Returns the handshake for a connection, given its first bytes (none if the server starts)."""


class HandshakeOwner(Pending, Protocol):
    """The session that a handshake phase belongs to. The phase calls one of these at its end.

    The owner then has to call `HandshakePhase.end`.
    """

    def handshake_done(self, handshake: AnyHandshake) -> None:
        """Serve the request in `handshake.result` and answer it through `handshake`."""

    def handshake_refused(self, error: NetjumperError) -> None:
        """Log the refusal; the reason has been sent, and the client has to receive it."""

    def handshake_failed(self, reason: str) -> None:
        """Log the failure; the connection is closed already."""

    def close(self) -> None:
        """Close the connection without an access record: the client requested nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeContext:
    """What the handshake phases of one loop share."""

    admission: Admission
    log: logging.Logger
    deadlines: Deadlines["HandshakePhase"]
    """Ends handshakes that take too long."""
    delayed_refusals: Deadlines["HandshakePhase"]
    """Refuses clients that failed to authenticate repeatedly."""
    parked: ParkedSessions["HandshakePhase"]


class HandshakePhase:
    """Reads a client until its request is complete.

    Args:
        context: what all handshake phases share.
        owner: the session; is called once with the outcome of the handshake.
        client: the connection; the owner closes it, the phase only reads and answers.
        peer: its address.
        choose: returns the handshake.

    Attributes:
        client_ended: the client has sent its end of stream.
        started: when the client began its request, in `monotonic` seconds.
    """

    __slots__ = (
        "_choose",
        "_client",
        "_context",
        "_handshake",
        "_owner",
        "_peer",
        "_refusal",
        "client_ended",
        "started",
    )

    def __init__(
        self,
        context: HandshakeContext,
        owner: HandshakeOwner,
        client: Endpoint,
        peer: str,
        choose: ChooseHandshake,
    ) -> None:
        self._context = context
        self._owner = owner
        self._client = client
        self._peer = peer
        self._choose = choose
        self._handshake: AnyHandshake | None = None
        self._refusal: NetjumperError | None = None
        self.client_ended = False
        self.started = monotonic()  # uvloop's own clock counts milliseconds

    @property
    def has_request(self) -> bool:
        """Whether the client has begun a request: then its end must be in the access log."""
        return self._handshake is not None and self._handshake.has_request

    def start(self, speaks_first: bool) -> None:
        """Begin to read, and send the first bytes if the server speaks first."""
        self._context.admission.add_pending(self._owner, self._peer)
        self._context.deadlines.add(self)
        self._client.start_reading(self._on_readable)
        if speaks_first:
            self._handshake = self._choose(b"")
            self._send_answer(self._handshake)

    def end(self) -> None:
        """Remove the phase from everything that would call it."""
        context = self._context
        context.deadlines.remove(self)
        context.parked.remove(self)
        context.delayed_refusals.remove(self)

    def expire(self) -> None:
        """The handshake took too long, or the client stayed parked for too long."""
        if not self.has_request:
            self._close_silently()
            return
        self._client.close()
        self._owner.handshake_failed(describe(HandshakeTimeout("the handshake took too long")))

    def refuse_delayed(self) -> None:
        """Send the refusal that was delayed."""
        if self._handshake is not None and self._refusal is not None:
            self._refuse(self._handshake, self._refusal)

    def _on_readable(self) -> None:
        try:
            data = self._client.recv(READ_SIZE)
        except OSError as error:
            self._connection_lost(error)
            return
        if data is None:
            return
        has_request = self.has_request
        if not data:
            if not has_request:
                self._close_silently()
                return
            self.client_ended = True
            self._client.stop_reading()
        if not has_request:
            self.started = monotonic()  # the connection may have been parked for minutes
        handshake = self._handshake = self._handshake or self._choose(data)
        try:
            handshake.receive_data(data)
        except NetjumperError as error:
            self._handshake_failed(handshake, error)
            return
        if not self._send_answer(handshake):
            return
        if handshake.result is None:
            self._update_deadline(handshake)
        else:
            self._context.admission.authenticated(self._owner)
            self._owner.handshake_done(handshake)

    def _update_deadline(self, handshake: AnyHandshake) -> None:
        """Use one deadline for the handshake and another, longer one for a parked client."""
        context = self._context
        if handshake.is_parked:
            context.admission.authenticated(self._owner)
            if context.parked.add(self, self._peer):
                context.deadlines.remove(self)
        elif self in context.parked:
            context.parked.remove(self)
            context.deadlines.add(self)

    def _handshake_failed(self, handshake: AnyHandshake, error: NetjumperError) -> None:
        """Refuse the client; after a delay if its credentials are wrong, and not the first ones."""
        context = self._context
        is_guess = isinstance(error, AuthenticationError)
        if not is_guess or not context.admission.auth_failed(self._peer, self._owner):
            self._refuse(handshake, error)
            return
        self._client.stop_reading()
        self._refusal = error
        context.delayed_refusals.add(self)

    def _refuse(self, handshake: AnyHandshake, error: NetjumperError) -> None:
        if self._send_answer(handshake):
            self._owner.handshake_refused(error)

    def _send_answer(self, handshake: AnyHandshake) -> bool:
        """Send what the handshake has to send; return False if the connection is lost."""
        try:
            send_answer(self._client, handshake)
        except OSError as error:
            self._client.abort()
            self._owner.handshake_failed(error.strerror or str(error))
            return False
        return True

    def _connection_lost(self, error: OSError) -> None:
        if isinstance(error, ssl.SSLError) and not is_no_tls(error):
            self._tls_failed(error)
            return
        handshake = self._handshake
        if handshake is None or not handshake.has_request:
            self._close_silently()
            return
        self._client.abort()
        reason = error.strerror or str(error)
        try:
            handshake.receive_data(b"")  # it can say which part of the request is missing
        except NetjumperError as unfinished:
            reason = f"{describe(unfinished)} ({reason})"
        self._owner.handshake_failed(reason)

    def _tls_failed(self, error: ssl.SSLError) -> None:
        """One side could not authenticate the other; the client has to receive the TLS alert."""
        if is_wrong_key(error):
            self._context.admission.auth_failed(self._peer, self._owner)
        self._owner.handshake_refused(AuthenticationError(f"TLS failed: {failure_of(error)}"))

    def _close_silently(self) -> None:
        """A port scan, a health check, a browser's preconnect: it belongs in no access log."""
        seconds = monotonic() - self.started
        client = self._client
        if isinstance(client, TlsEndpoint) and not client.has_heard and seconds >= TLS_SILENCE_S:
            self._context.log.info(
                "%s said nothing for %.0f s; this port is for TLS: a bridge needs netjumper+tls://",
                self._peer,
                seconds,
            )
        self._context.log.debug("%s connected and requested nothing", self._peer)
        self._owner.close()


def send_answer(client: Endpoint, handshake: AnyHandshake) -> None:
    """Send a client everything that its handshake has to send.

    Raises:
        OSError: the connection is lost, or the client does not read.
    """
    data = handshake.data_to_send()
    # The few bytes of a handshake always fit into the send buffer of a client that reads.
    if data and client.send(data) != len(data):
        raise OSError("the client does not read its answers")
