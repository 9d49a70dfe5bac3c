"""A tunnel: one accepted connection, from its first byte to its last.

    handshake  ->  opening  ->  relay          the way it should go
        \\__________\\_______->  lingering      refused: the reason is sent, then the end

The same for the jump server (netjumper handshake, then a dial) and the bridge (SOCKS or HTTP,
then a jump host): which handshake it is, and what leads to the target, come from outside.
"""

from collections.abc import Callable
from time import monotonic
from typing import Protocol

from netjumper.accesslog import told
from netjumper.errors import HandshakeTimeout, NetjumperError
from netjumper.handshake import ListeningHandshake
from netjumper.net.deadlines import Deadlines
from netjumper.net.dial import Opening
from netjumper.net.endpoint import Endpoint
from netjumper.net.relay import Ending
from netjumper.parked_clients import ParkedClients
from netjumper.request import TunnelRequest
from netjumper.session import READ_SIZE, Handover, Session, Shared

AHEAD_LIMIT = 64 * 1024
"""Bytes taken from a client while its target is being reached; then it is not read further."""

AnyHandshake = ListeningHandshake[object]
"""Its result is a `TunnelRequest`, or something that `TunnelShared.take_over` can serve."""

ChooseHandshake = Callable[[bytes], AnyHandshake]
"""Given the first bytes of a connection (none, where the server speaks first)."""


class TunnelShared(Shared, Protocol):
    """What the tunnels of one loop share, as each of them sees it."""

    handshaking: Deadlines["Tunnel"]
    parked: ParkedClients["Tunnel"]
    held_back: Deadlines[Endpoint]

    def take_over(self, request: object, client: Handover) -> None:
        """Serve a client that asked for something else than a tunnel; `request` is what."""


class Tunnel(Session):
    """A session that is a tunnel, or is to become one."""

    __slots__ = (
        "_choose",
        "_early",
        "_handshake",
        "_is_told",
        "_opening",
        "_request",
        "_started",
    )

    _shared: TunnelShared

    def __init__(self, shared: TunnelShared, client: Handover, choose: ChooseHandshake) -> None:
        super().__init__(shared, client)
        self._choose = choose
        self._handshake: AnyHandshake | None = None
        self._request: TunnelRequest | None = None
        self._opening: Opening | None = None
        self._is_told = False
        """The client was told that the tunnel stands, before it did."""
        self._early = 0
        self._started = monotonic()  # uvloop's own clock counts milliseconds

    @property
    def requested(self) -> bool:
        """Whether the client has said what it wants, and waits for it or has it."""
        return self._relay is not None or self._opening is not None

    @property
    def _asked(self) -> bool:
        return self._handshake is not None and self._handshake.asked

    def start(self, speaks_first: bool) -> None:
        """Begin the handshake."""
        self._shared.handshaking.add(self)
        self._client.start_reading(self._on_readable)
        if speaks_first:
            self._handshake = self._choose(b"")
            self._flush(self._handshake)

    def resume(self, handshake: AnyHandshake) -> None:
        """Go on from a handshake that is through; another session has read it."""
        handshake.asked = True
        self._handshake = handshake
        if not self._client_ended:
            self._client.start_reading(self._on_readable)
        self._proceed(handshake.result)

    def handshake_expired(self) -> None:
        """The client took too long over its handshake."""
        if not self._asked:
            self._over_in_silence()
            return
        self._client.close()
        self._over(told(HandshakeTimeout("the handshake took too long")), failed=True)

    def wind_down(self) -> None:
        """Go on where a target was asked for, and end otherwise."""
        if not self.requested:
            self.stop()

    def stop(self) -> None:
        """Cut it off, whatever it is doing."""
        if self._relay is not None:
            self._relay.stop(Ending.SHUTDOWN)
        elif self in self._shared.lingering or not self._asked:
            self.close()
        else:
            self._client.abort()
            self._over(Ending.SHUTDOWN.value, failed=True)

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
                self._over_in_silence()
                return
            self._client_ended = True
            self._client.stop_reading()
        if not self._asked:
            self._started = monotonic()  # a connection may have been parked for minutes
        handshake = self._handshake = self._handshake or self._choose(data)
        try:
            handshake.receive_data(data)
        except NetjumperError as error:
            self._refuse(handshake, error)
            return
        if not self._flush(handshake):
            return
        if handshake.result is None:
            self._set_deadline(handshake)
        elif self._request is None:
            self._proceed(handshake.result)
        else:
            self._read_ahead(handshake)

    def _set_deadline(self, handshake: AnyHandshake) -> None:
        """Have one deadline for the handshake, and another for a client that is parked."""
        shared = self._shared
        if handshake.is_parked and shared.parked.add(self, self._peer):
            shared.handshaking.remove(self)
        elif self in shared.parked:
            shared.parked.remove(self)
            shared.handshaking.add(self)

    def _proceed(self, request: object) -> None:
        self._leave_the_handshake()
        if isinstance(request, TunnelRequest):
            self._open(request)
            return
        self._shared.take_over(request, self._hand_over())

    def _open(self, request: TunnelRequest) -> None:
        self._request = request
        try:
            opening = self._opening = self._shared.connector.connect(
                request.target, self._opened, self._open_failed
            )
        except NetjumperError as error:  # a target that the connector cannot even ask for
            self._open_failed(error)
            return
        handshake = self._handshake
        if opening.expected and handshake is not None:
            self._is_told = True
            self._client.reset_if_killed()
            handshake.accept()
            if self._flush(handshake):
                self._read_ahead(handshake)

    def _read_ahead(self, handshake: AnyHandshake) -> None:
        """Deal with what the client sent for a target that is not reached yet."""
        opening = self._opening
        room = opening.early_room if self._is_told and opening is not None else 0
        if opening is not None and (data := handshake.trailing_data(room)):
            self._early += len(data)
            opening.send_early(data)
        if handshake.trailing_size >= AHEAD_LIMIT:
            self._client.stop_reading()

    def _opened(self, target: Endpoint) -> None:
        handshake, self._handshake = self._handshake, None
        self._opening = None
        assert handshake is not None  # noqa: S101 - only an opening tunnel gets here
        if not self._is_told:
            handshake.accept()
        up, down = handshake.trailing_data(), handshake.data_to_send()
        if up and handshake.answers_together:
            down = self._hold_back(down)
        self._start_relay(target, up=up, down=down, early=self._early)

    def _hold_back(self, answer: bytes) -> bytes:
        """Have it leave with the target's first bytes, if they come soon; return what cannot."""
        try:
            answer = answer[self._client.send_with_next(answer) :]
        except OSError:
            return answer  # the relay will see it
        self._shared.held_back.add(self._client)
        return answer

    def _open_failed(self, error: NetjumperError) -> None:
        self._opening = None
        handshake = self._handshake
        assert handshake is not None  # noqa: S101 - only an opening tunnel gets here
        if self._is_told:
            self._client.abort()  # never a clean end: nothing of its target's is complete
            self._over(f"{told(error)} (after an early success)", failed=True)
            return
        handshake.reject(error)
        self._refuse(handshake, error)

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
        handshake = self._handshake
        if handshake is None or not handshake.asked:
            self._over_in_silence()
            return
        self._client.abort()
        reason = error.strerror or str(error)
        try:
            handshake.receive_data(b"")  # it knows best what was left unfinished
        except NetjumperError as unfinished:
            reason = f"{told(unfinished)} ({reason})"
        self._over(reason, failed=True)

    def _lost(self, error: OSError) -> None:
        self._client.abort()
        self._over(error.strerror or str(error), failed=True)

    def _over_in_silence(self) -> None:
        """A port scan, a health check, a browser's preconnect: nothing was ever asked."""
        self._shared.log.debug("%s connected and asked for nothing", self._peer)
        self.close()

    def _relayed(self, ending: Ending) -> None:
        self._over(ending.value, failed=False)

    def _over(self, ending: str, *, failed: bool) -> None:
        self._tell(ending, failed=failed)
        self._forget()

    def _leave_the_handshake(self) -> None:
        self._shared.handshaking.remove(self)
        self._shared.parked.remove(self)

    def _forget(self) -> None:
        self._leave_the_handshake()
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        super()._forget()

    def _tell(self, ending: str, *, failed: bool) -> None:
        request, relay = self._request, self._relay
        self._log_end(
            client=request.client if request else "",
            target=request.target if request else "",
            bytes_up=relay.bytes_up if relay else 0,
            bytes_down=relay.bytes_down if relay else 0,
            began=self._started,
            ending=ending,
            failed=failed,
        )
