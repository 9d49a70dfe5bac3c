"""The base of all sessions. A session is one accepted connection, whatever it requests.

It holds what tunnels and forwarded HTTP requests have in common: the client's connection, the relay
that both can end in, the lingering close of a refused client, and the access record.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from netjumper.access_log import AccessRecord
from netjumper.addressing.address import Address
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.relay.bandwidth import Bandwidth
from netjumper.relay.ending import RelayEnd
from netjumper.relay.idle_timeout import IdleWatch
from netjumper.relay.relay import Relay
from netjumper.relay.splice import RelayMemory
from netjumper.sessions.admission import Admission
from netjumper.sessions.handshake_phase import READ_SIZE, AnyHandshake, HandshakeContext


class Handoff(NamedTuple):
    """A client on its way to the session that serves it, from a listener or another session.

    Attributes:
        endpoint: its connection, which has no reader now.
        peer: its address.
        ended: the client has sent its end of stream.
    """

    endpoint: Endpoint
    peer: str
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContext:
    """What all sessions of one loop share. `SessionManager` builds it once."""

    loop: asyncio.AbstractEventLoop
    log: logging.Logger
    """The access log."""
    handshakes: HandshakeContext
    memory: RelayMemory
    corked: Deadlines[Endpoint]
    """Success answers that wait for the target's first bytes, to leave in one packet."""
    lingering: Deadlines["Session"]
    """Refused clients that have not received the reason yet."""
    half_closed: Deadlines[Relay]
    idle: IdleWatch | None
    forget: Callable[["Session"], None]
    """Removes a session that is over, or whose client was handed off."""
    hand_off: Callable[[object, Handoff], None]
    """Serves a client whose request (the first argument) is not a tunnel."""
    resume: Callable[[AnyHandshake, Handoff], None]
    """Opens a tunnel for a client whose handshake another session has read."""

    @property
    def admission(self) -> Admission:
        """The limits on connections and tunnels."""
        return self.handshakes.admission


class Session(ABC):
    """One accepted connection.

    Args:
        context: what all sessions share.
        client: the client; the session owns its connection from here on.
    """

    __slots__ = ("_client", "_client_ended", "_context", "_peer", "_relay")

    def __init__(self, context: SessionContext, client: Handoff) -> None:
        self._context = context
        self._client = client.endpoint
        self._peer = client.peer
        self._client_ended = client.ended
        self._relay: Relay | None = None

    @property
    @abstractmethod
    def requested(self) -> bool:
        """Whether the client has completed a request that is being served."""

    @abstractmethod
    def begin_shutdown(self) -> None:
        """Finish the current request, if any, and begin no other."""

    @abstractmethod
    def stop(self) -> None:
        """Abort the session in any state."""

    def suspend_timeouts(self, milliseconds: int) -> None:
        """Suspend the user timeout of an end that is alive but does not read, or restore it."""
        if self._relay is not None:
            self._relay.suspend_timeouts(milliseconds)

    def check_unread(self) -> None:
        """End if an end that is not read now was reset, or its client has left."""
        if self._relay is not None:
            self._relay.check_unread()

    def close(self) -> None:
        """Close the client's connection without an access record."""
        self._client.close()
        self._forget()

    def _start_relay(
        self,
        target: Endpoint,
        *,
        up: bytes,
        down: bytes,
        early: int = 0,
        bandwidth: Bandwidth | None = None,
    ) -> None:
        """Relay between the client and a target until both directions have ended.

        Args:
            target: the connection to the target; the relay owns it and the client's from here on.
            up: what the client has sent already.
            early: number of bytes before `up` that the target has received already.
            down: what the client must receive first.
            bandwidth: the bandwidth that all of it counts against; None is no limit.
        """
        context = self._context
        self._client.reset_on_exit()
        target.reset_on_exit()
        relay = self._relay = Relay(
            context.memory, self._client, target, self._relayed, context.half_closed,
            bandwidth,
        )  # fmt: skip
        if context.idle is not None:
            context.idle.add(relay)
        relay.start(up=up, down=down, early=early, client_ended=self._client_ended)

    @abstractmethod
    def _relayed(self, ending: RelayEnd) -> None:
        """The relay is over."""

    def _hand_off(self) -> Handoff:
        """Release the client, so that another session can serve it."""
        self._client.stop_reading()
        self._forget()
        return Handoff(self._client, self._peer, self._client_ended)

    def _linger(self) -> None:
        """Keep the connection until the client has received everything.

        To close it with unread bytes would send a reset, which can overtake what was sent.
        """
        try:
            self._client.shutdown_write()
        except OSError:
            self.close()
            return
        if self._client_ended:
            self.close()
            return
        self._context.lingering.add(self)
        self._client.start_reading(self._discard)

    def _discard(self) -> None:
        try:
            data = self._client.recv(READ_SIZE)
        except OSError:
            data = b""
        if data == b"":
            self.close()

    def _forget(self) -> None:
        context = self._context
        context.lingering.remove(self)
        if self._relay is not None and context.idle is not None:
            context.idle.remove(self._relay)
        context.forget(self)

    def _log_end(
        self,
        *,
        client: str,
        target: Address | str,
        bytes_up: int,
        bytes_down: int,
        began: float,
        ending: str,
        failed: bool,
        kind: str,
    ) -> None:
        """Write an access record.

        Args:
            began: seconds of `monotonic`.
            kind: the type of a failure; not text of a peer.
        """
        level = logging.WARNING if failed else logging.INFO
        log = self._context.log
        if not log.isEnabledFor(level):
            return
        end = AccessRecord(
            peer=self._peer,
            client=client,
            target=str(target),
            bytes_up=bytes_up,
            bytes_down=bytes_down,
            seconds=monotonic() - began,
            ending=ending,
            failed=failed,
            kind=kind,
        )
        log.log(level, end)
