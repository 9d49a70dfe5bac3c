"""A tunnel: one accepted connection, from its first byte to its last.

    handshake  ->  opening  ->  relay          the way it should go
        \\__________\\_______->  lingering      refused: the reason is sent, then the end

The same for the jump server (netjumper handshake, then a dial) and the bridge (SOCKS or HTTP,
then a jump host): which handshake it is, and what leads to the target, come from outside.
"""

from typing import Protocol

from netjumper.access_log import told
from netjumper.errors import NetjumperError
from netjumper.net.connector import PendingConnection
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.protocol.handshake import TunnelRequest
from netjumper.relay.ending import Ending
from netjumper.sessions.admission import Account
from netjumper.sessions.handshake_session import (
    AnyHandshake,
    Arrival,
    ArrivalShared,
    ChooseHandshake,
)
from netjumper.sessions.session import Handoff

AHEAD_LIMIT = 64 * 1024
"""Bytes taken from a client while its target is being reached; then it is not read further."""


class TunnelShared(ArrivalShared, Protocol):
    """What the tunnels of one loop share, as each of them sees it."""

    corked: Deadlines[Endpoint]

    def hand_off(self, request: object, client: Handoff) -> None:
        """Serve a client that asked for something else than a tunnel; `request` is what."""


class Tunnel(Arrival):
    """A session that is a tunnel, or is to become one."""

    __slots__ = (
        "_account",
        "_early",
        "_opening",
        "_request",
        "_success_sent",
    )

    _shared: TunnelShared

    def __init__(self, shared: TunnelShared, client: Handoff, choose: ChooseHandshake) -> None:
        super().__init__(shared, client, choose)
        self._request: TunnelRequest | None = None
        self._opening: PendingConnection | None = None
        self._account: Account | None = None
        self._success_sent = False
        """The client was told that the tunnel stands, before it did."""
        self._early = 0

    @property
    def requested(self) -> bool:
        """Whether the client has said what it wants, and waits for it or has it."""
        return self._relay is not None or self._opening is not None

    def resume(self, handshake: AnyHandshake) -> None:
        """Go on from a handshake that is through; another session has read it."""
        handshake.asked = True
        self._handshake = handshake
        if not self._client_ended:
            self._client.start_reading(self._on_readable)
        self._proceed(handshake.result)

    def begin_shutdown(self) -> None:
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

    def _handshake_done(self, handshake: AnyHandshake) -> None:
        if self._request is None:
            self._proceed(handshake.result)
        else:
            self._read_ahead(handshake)

    def _proceed(self, request: object) -> None:
        self._leave_the_handshake()
        self._shared.admission.authenticated(self)
        if isinstance(request, TunnelRequest):
            self._open(request)
            return
        self._shared.hand_off(request, self._hand_off())

    def _open(self, request: TunnelRequest) -> None:
        self._request = request
        try:
            account = self._account = self._shared.admission.open(
                request.client, self._peer, request.target
            )
            opening = self._opening = account.connector.connect(
                request.target, self._opened, self._open_failed
            )
        except NetjumperError as error:  # there is no room, or it cannot even be asked for
            self._open_failed(error)
            return
        handshake = self._handshake
        if opening.optimistic and handshake is not None:
            self._success_sent = True
            self._client.reset_on_exit()
            handshake.accept()
            if self._flush(handshake):
                self._read_ahead(handshake)

    def _read_ahead(self, handshake: AnyHandshake) -> None:
        """Deal with what the client sent for a target that is not reached yet."""
        opening = self._opening
        room = opening.early_data_budget if self._success_sent and opening is not None else 0
        if opening is not None and (data := handshake.trailing_data(room)):
            self._early += len(data)
            opening.send_early(data)
        if handshake.trailing_size >= AHEAD_LIMIT:
            self._client.stop_reading()

    def _opened(self, target: Endpoint) -> None:
        handshake, self._handshake = self._handshake, None
        self._opening = None
        assert handshake is not None  # noqa: S101 - only an opening tunnel gets here
        if not self._success_sent:
            handshake.accept()
        up, down = handshake.trailing_data(), handshake.data_to_send()
        if up and handshake.answers_together:
            down = self._cork(down)
        account = self._account
        bandwidth = None if account is None else account.bandwidth
        self._start_relay(target, up=up, down=down, early=self._early, bandwidth=bandwidth)

    def _cork(self, answer: bytes) -> bytes:
        """Have it leave with the target's first bytes, if they come soon; return what cannot."""
        try:
            answer = answer[self._client.send_with_next(answer) :]
        except OSError:
            return answer  # the relay will see it
        self._shared.corked.add(self._client)
        return answer

    def _open_failed(self, error: NetjumperError) -> None:
        self._opening = None
        handshake = self._handshake
        assert handshake is not None  # noqa: S101 - only an opening tunnel gets here
        if self._success_sent:
            self._client.abort()  # never a clean end: nothing of its target's is complete
            self._over(f"{told(error)} (after an early success)", failed=True)
            return
        self._leave_the_account()  # who is being refused has no tunnel
        handshake.reject(error)
        self._refuse(handshake, error)

    def _leave_the_account(self) -> None:
        account, self._account = self._account, None
        if account is not None:
            self._shared.admission.close(account, self._peer)

    def _relayed(self, ending: Ending) -> None:
        self._over(ending.value, failed=False)

    def _forget(self) -> None:
        self._leave_the_account()
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
