"""A session: one accepted connection, whatever it asks for.

What tunnels and forwarded requests have in common: the client they serve, the relay that both
may come to, and the way a client is left that has been refused.
"""

import logging
from time import monotonic
from typing import Protocol

from netjumper.accesslog import TunnelEnd
from netjumper.address import Address
from netjumper.net.deadlines import Deadlines
from netjumper.net.dial import Connector
from netjumper.net.endpoint import Endpoint
from netjumper.net.idle import IdleWatch
from netjumper.net.pipes import RelayMemory
from netjumper.net.relay import Ending, Relay

READ_SIZE = 64 * 1024


class Shared(Protocol):
    """What the sessions of one loop share, as each of them sees it."""

    connector: Connector
    memory: RelayMemory
    lingering: Deadlines["Session"]
    half_closed: Deadlines[Relay]
    idle: IdleWatch | None
    log: logging.Logger

    def forget(self, session: "Session") -> None:
        """A session is over, or somebody else's."""


class Session:
    """One accepted connection and what becomes of it.

    Args:
        shared: what it has in common with all others.
        client: the connection; it is the session's from here on.
        peer: its address.
        client_ended: the client has said that it sends no more.
    """

    __slots__ = ("_client", "_client_ended", "_peer", "_relay", "_shared")

    def __init__(
        self, shared: Shared, client: Endpoint, peer: str, *, client_ended: bool = False
    ) -> None:
        self._shared = shared
        self._client = client
        self._peer = peer
        self._client_ended = client_ended
        self._relay: Relay | None = None

    @property
    def requested(self) -> bool:
        """Whether the client has said what it wants, and waits for it or has it."""
        raise NotImplementedError

    def stop(self) -> None:
        """Cut it off, whatever it is doing."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the client's side; nothing is logged."""
        self._client.close()
        self._forget()

    def _start_relay(self, target: Endpoint, *, up: bytes, down: bytes) -> None:
        """Pipe the client and a target to each other until both have ended.

        Args:
            target: what leads to it; the relay's from here on, as is the client.
            up: what the client sent ahead.
            down: what the client is to get first.
        """
        shared = self._shared
        relay = self._relay = Relay(
            shared.memory, self._client, target, self._relayed, shared.half_closed
        )
        if shared.idle is not None:
            shared.idle.add(relay)
        relay.start(up=up, down=down, client_ended=self._client_ended)

    def _relayed(self, ending: Ending) -> None:
        """The relay is over."""
        raise NotImplementedError

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
        end = TunnelEnd(
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
