"""An arrival: one accepted connection, as long as it has not said what it wants.

The same for the jump server and the bridge: which handshake is spoken comes from outside. Until
it is through the connection is one of those that wait, of which there can be only so many.
"""

import ssl
from abc import abstractmethod
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from netjumper.access_log import told
from netjumper.errors import AuthenticationError, HandshakeTimeout, NetjumperError
from netjumper.net.deadlines import Deadlines
from netjumper.protocol.handshake import ListeningHandshake
from netjumper.sessions.admission import Admission
from netjumper.sessions.parked_sessions import ParkedClients
from netjumper.sessions.session import READ_SIZE, Handoff, Session, Shared
from netjumper.tls.errors import failure_of, is_no_tls, is_wrong_key

AnyHandshake = ListeningHandshake[object]
"""Its result is a `TunnelRequest`, or something that `TunnelShared.hand_off` can serve."""

ChooseHandshake = Callable[[bytes], AnyHandshake]
"""Given the first bytes of a connection (none, where the server speaks first)."""


class ArrivalShared(Shared, Protocol):
    """What the arrivals of one loop share, as each of them sees it."""

    admission: Admission["Arrival"]
    handshaking: Deadlines["Arrival"]
    delayed_refusals: Deadlines["Arrival"]
    parked: ParkedClients["Arrival"]


class Arrival(Session):
    """A session that begins with a handshake.

    Args:
        shared: what it has in common with all others.
        client: who is served.
        choose: picks the handshake.
    """

    __slots__ = ("_choose", "_handshake", "_refused", "_started")

    _shared: ArrivalShared

    def __init__(self, shared: ArrivalShared, client: Handoff, choose: ChooseHandshake) -> None:
        super().__init__(shared, client)
        self._choose = choose
        self._handshake: AnyHandshake | None = None
        self._refused: NetjumperError | None = None
        self._started = monotonic()  # uvloop's own clock counts milliseconds

    @property
    def _asked(self) -> bool:
        return self._handshake is not None and self._handshake.asked

    def start(self, speaks_first: bool) -> None:
        """Begin the handshake."""
        self._shared.admission.add_pending(self, self._peer)
        self._shared.handshaking.add(self)
        self._client.start_reading(self._on_readable)
        if speaks_first:
            self._handshake = self._choose(b"")
            self._flush(self._handshake)

    def drop(self) -> None:
        """Close it at once, also where nothing arrives: it has proved nothing."""
        self._client.reset()
        self._forget()

    def handshake_expired(self) -> None:
        """The client took too long over its handshake."""
        if not self._asked:
            self._close_silently()
            return
        self._client.close()
        self._over(told(HandshakeTimeout("the handshake took too long")), failed=True)

    def refuse_delayed(self) -> None:
        """Tell what was held back."""
        if self._handshake is not None and self._refused is not None:
            self._refuse(self._handshake, self._refused)

    def _on_readable(self) -> None:
        try:
            data = self._client.recv(READ_SIZE)
        except OSError as error:
            self._lost_in_handshake(error)
            return
        if data is None:
            return
        if not data:
            if not self._asked:
                self._close_silently()
                return
            self._client_ended = True
            self._client.stop_reading()
        if not self._asked:
            self._started = monotonic()  # a connection may have been parked for minutes
        handshake = self._handshake = self._handshake or self._choose(data)
        try:
            handshake.receive_data(data)
        except AuthenticationError as error:
            self._auth_failed(handshake, error)
            return
        except NetjumperError as error:
            self._refuse(handshake, error)
            return
        if not self._flush(handshake):
            return
        if handshake.result is None:
            self._set_deadline(handshake)
        else:
            self._handshake_done(handshake)

    def _set_deadline(self, handshake: AnyHandshake) -> None:
        """Have one deadline for the handshake, and another for a client that is parked."""
        shared = self._shared
        if handshake.is_parked:
            shared.admission.authenticated(self)
            if shared.parked.add(self, self._peer):
                shared.handshaking.remove(self)
        elif self in shared.parked:
            shared.parked.remove(self)
            shared.handshaking.add(self)

    def _auth_failed(self, handshake: AnyHandshake, error: AuthenticationError) -> None:
        """Refuse it; not at once where there have been others from there."""
        shared = self._shared
        if not shared.admission.auth_failed(self._peer, self):
            self._refuse(handshake, error)
            return
        self._client.stop_reading()
        self._refused = error
        shared.delayed_refusals.add(self)

    def _refuse(self, handshake: AnyHandshake, error: NetjumperError) -> None:
        """Send the reason, and stay until the client has it."""
        if not self._flush(handshake):
            return
        self._tell(told(error), failed=True)
        self._leave_the_handshake()
        self._linger()

    def _flush(self, handshake: AnyHandshake) -> bool:
        """Send what the handshake has to say; False when that was the end of the connection."""
        data = handshake.data_to_send()
        if not data:
            return True
        try:
            # A handshake's few bytes always fit; a client that lets them pile up is no client.
            if self._client.send(data) == len(data):
                return True
        except OSError as error:
            self._lost(error)
            return False
        self._lost(OSError("the client does not read its answers"))
        return False

    def _lost_in_handshake(self, error: OSError) -> None:
        if isinstance(error, ssl.SSLError) and not is_no_tls(error):
            self._tls_failed(error)
            return
        handshake = self._handshake
        if handshake is None or not handshake.asked:
            self._close_silently()
            return
        self._client.abort()
        reason = error.strerror or str(error)
        try:
            handshake.receive_data(b"")  # it knows best what was left unfinished
        except NetjumperError as unfinished:
            reason = f"{told(unfinished)} ({reason})"
        self._over(reason, failed=True)

    def _tls_failed(self, error: ssl.SSLError) -> None:
        """One of the two did not prove who it is; the alert that says so has to arrive."""
        if is_wrong_key(error):
            self._shared.admission.auth_failed(self._peer, self)
        self._tell(told(AuthenticationError(f"TLS failed: {failure_of(error)}")), failed=True)
        self._leave_the_handshake()
        self._linger()

    def _lost(self, error: OSError) -> None:
        self._client.abort()
        self._over(error.strerror or str(error), failed=True)

    def _close_silently(self) -> None:
        """A port scan, a health check, a browser's preconnect: nothing was ever asked."""
        self._shared.log.debug("%s connected and asked for nothing", self._peer)
        self.close()

    def _over(self, ending: str, *, failed: bool) -> None:
        self._tell(ending, failed=failed)
        self._forget()

    def _leave_the_handshake(self) -> None:
        self._shared.handshaking.remove(self)
        self._shared.parked.remove(self)

    def _forget(self) -> None:
        self._leave_the_handshake()
        self._shared.admission.remove_pending(self)
        self._shared.delayed_refusals.remove(self)
        super()._forget()

    @abstractmethod
    def _handshake_done(self, handshake: AnyHandshake) -> None:
        """The handshake is through, or more has come since it was."""

    @abstractmethod
    def _tell(self, ending: str, *, failed: bool) -> None:
        """Log how it ended."""
