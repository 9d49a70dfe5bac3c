"""A session: one accepted connection, whatever it asks for.

What tunnels and forwarded requests have in common: the client they serve, the relay that both
may come to, and the way a client is left that has been refused.
"""

import logging
from abc import ABC, abstractmethod
from time import monotonic
from typing import NamedTuple, Protocol

from netjumper.access_log import AccessRecord
from netjumper.addressing.address import Address
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.relay.bandwidth import Bandwidth
from netjumper.relay.ending import Ending
from netjumper.relay.idle_timeout import IdleWatch
from netjumper.relay.relay import Relay
from netjumper.relay.splice import RelayMemory

READ_SIZE = 64 * 1024


class Shared(Protocol):
    """What the sessions of one loop share, as each of them sees it."""

    memory: RelayMemory
    lingering: Deadlines["Session"]
    half_closed: Deadlines[Relay]
    idle: IdleWatch | None
    log: logging.Logger

    def forget(self, session: "Session") -> None:
        """A session is over, or somebody else's."""


class Handoff(NamedTuple):
    """A client on its way to the session that serves it, from a listener or another session.

    Attributes:
        endpoint: its connection, which nobody reads now.
        peer: its address.
        ended: it has said that it sends no more.
    """

    endpoint: Endpoint
    peer: str
    ended: bool


class Session(ABC):
    """One accepted connection and what becomes of it.

    Args:
        shared: what it has in common with all others.
        client: who is served; its connection is the session's from here on.
    """

    __slots__ = ("_client", "_client_ended", "_peer", "_relay", "_shared")

    def __init__(self, shared: Shared, client: Handoff) -> None:
        self._shared = shared
        self._client = client.endpoint
        self._peer = client.peer
        self._client_ended = client.ended
        self._relay: Relay | None = None

    @property
    @abstractmethod
    def requested(self) -> bool:
        """Whether the client has said what it wants, and waits for it or has it."""

    @abstractmethod
    def begin_shutdown(self) -> None:
        """Finish what is under way, if anything is, and begin nothing more."""

    @abstractmethod
    def stop(self) -> None:
        """Cut it off, whatever it is doing."""

    def suspend_timeouts(self, milliseconds: int) -> None:
        """Suspend the user timeout of an end that lives and does not read, or set it again."""
        if self._relay is not None:
            self._relay.suspend_timeouts(milliseconds)

    def close(self) -> None:
        """Close the client's side; nothing is logged."""
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
        """Pipe the client and a target to each other until both have ended.

        Args:
            target: what leads to it; the relay's from here on, as is the client.
            up: what the client sent ahead.
            early: how many bytes before that the target has got already.
            down: what the client is to get first.
            bandwidth: what all of it counts against; None is no limit.
        """
        shared = self._shared
        self._client.reset_on_exit()
        target.reset_on_exit()
        relay = self._relay = Relay(
            shared.memory, self._client, target, self._relayed, shared.half_closed,
            bandwidth,
        )  # fmt: skip
        if shared.idle is not None:
            shared.idle.add(relay)
        relay.start(up=up, down=down, early=early, client_ended=self._client_ended)

    @abstractmethod
    def _relayed(self, ending: Ending) -> None:
        """The relay is over."""

    def _hand_off(self) -> Handoff:
        """Let go of the client, for another session to serve it."""
        self._client.stop_reading()
        self._forget()
        return Handoff(self._client, self._peer, self._client_ended)

    def _linger(self) -> None:
        """Stay until the client has what was sent: an early close would be a reset."""
        try:
            self._client.shutdown_write()
        except OSError:
            self.close()
            return
        if self._client_ended:
            self.close()
            return
        self._shared.lingering.add(self)
        self._client.start_reading(self._discard)

    def _discard(self) -> None:
        try:
            data = self._client.recv(READ_SIZE)
        except OSError:
            data = b""
        if data == b"":
            self.close()

    def _forget(self) -> None:
        shared = self._shared
        shared.lingering.remove(self)
        if self._relay is not None and shared.idle is not None:
            shared.idle.remove(self._relay)
        shared.forget(self)

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
    ) -> None:
        """Write a line of the access log; `began` is when, in `monotonic` seconds."""
        level = logging.WARNING if failed else logging.INFO
        log = self._shared.log
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
        )
        log.log(level, end)
