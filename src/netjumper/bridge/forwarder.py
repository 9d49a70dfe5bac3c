"""The driver of forwarding: moves the bytes that `Forwarding` decides on."""

import logging
from time import monotonic

from netjumper.address import Address
from netjumper.bridge.forward import Ending, Exchange, Forwarding
from netjumper.bridge.http import ForwardRequest
from netjumper.errors import NetjumperError
from netjumper.net.deadlines import Deadlines
from netjumper.net.dial import Opening
from netjumper.net.endpoint import Endpoint
from netjumper.net.outbox import Outbox
from netjumper.net.relay import Ending as RelayEnding
from netjumper.net.relay import Relay
from netjumper.tunnel import TunnelEnd, told
from netjumper.tunnels import LINGER, Tunnels

READ_SIZE = 64 * 1024
HELD = 256 * 1024
"""Bytes held for a side that does not take them; then the other side is not read further."""
KEEP_ALIVE = 75.0
"""Seconds that a client's connection may be idle between two requests."""


class Forwarder:
    """One client's plain-HTTP requests.

    Args:
        tunnels: whose session it is; its connector leads to the targets.
        request: the first request.
        client: the client's connection.
        peer: its address.
        client_ended: it sends no more.
        name: ours in Via fields.
        idle: ends what waits too long for another request.
    """

    def __init__(
        self,
        tunnels: Tunnels,
        request: ForwardRequest,
        client: Endpoint,
        peer: str,
        client_ended: bool,
        name: bytes,
        idle: "Deadlines[Forwarder]",
    ) -> None:
        self._tunnels = tunnels
        self._client = client
        self._peer = peer
        self._client_ended = client_ended
        self._idle = idle
        self._to_client = Outbox(client, self._settle)
        self._target: Endpoint | None = None
        self._to_target: Outbox | None = None
        self._opening: Opening | None = None
        self._relay: Relay | None = None
        self._last: Exchange | None = None
        self._over = False
        self._forwarding = Forwarding(request, name=name, clock=monotonic, done=self._log)
        if client_ended:
            self._forwarding.receive_from_client(b"")
        tunnels.loop.call_soon(self._settle)

    @property
    def requested(self) -> bool:
        """Whether a request is being served."""
        return not self._forwarding.idle

    def stop(self) -> None:
        """Cut it off, whatever it is doing."""
        if self._relay is not None:
            self._relay.stop(RelayEnding.SHUTDOWN)
        else:
            self._abort(RelayEnding.SHUTDOWN.value)

    def expire(self) -> None:
        """No further request came for a long time."""
        self._finish(Ending.CLOSE)

    def _settle(self) -> None:
        """Do what the state machine wants, as far as it can be done now."""
        forwarding = self._forwarding
        if self._over or self._relay is not None:
            return
        self._to_client.send(forwarding.data_to_client())
        if self._to_client.lost:
            self._abort("the client is gone")
            return
        if forwarding.unwanted:
            forwarding.unwanted = False
            self._drop_target()
        if self._to_target is not None:
            self._to_target.send(forwarding.data_to_target())
        if forwarding.ending is not None:
            self._finish(forwarding.ending)
            return
        if forwarding.wanted is not None and self._opening is None:
            self._open(forwarding.wanted)
        self._read_where_there_is_room()
        self._watch_idleness()

    def _open(self, target: Address) -> None:
        try:
            self._opening = self._tunnels.connector.connect(target, self._opened, self._failed)
        except NetjumperError as error:  # a target that the connector cannot even ask for
            self._failed(error)

    def _opened(self, target: Endpoint) -> None:
        self._opening = None
        self._target = target
        self._to_target = Outbox(target, self._settle)
        self._forwarding.target_opened()
        self._settle()

    def _failed(self, error: NetjumperError) -> None:
        self._opening = None
        self._forwarding.target_failed(error)
        self._settle()

    def _read_where_there_is_room(self) -> None:
        held = len(self._to_target or b"") + self._forwarding.waiting
        if held >= HELD or self._client_ended:
            self._client.stop_reading()
        elif not self._client.is_read:
            self._client.start_reading(self._on_client)
        if self._target is None:
            return
        if len(self._to_client) >= HELD:
            self._target.stop_reading()
        elif not self._target.is_read:
            self._target.start_reading(self._on_target)

    def _watch_idleness(self) -> None:
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
        self._forwarding.receive_from_client(data)
        self._settle()

    def _on_target(self) -> None:
        target = self._target
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
            self._forwarding.receive_from_target(data)
        self._settle()

    def _finish(self, ending: Ending) -> None:
        """End as the state machine says, once the client has everything."""
        if ending is Ending.SWITCHED:
            self._switch()
        elif not self._to_client:
            self._drop_target()
            if ending is Ending.RESET or self._client_ended:
                self._client.abort() if ending is Ending.RESET else self._client.close()
                self._end()
            else:
                self._linger()

    def _switch(self) -> None:
        """What follows a 101 is no HTTP any more: both ends are piped to each other."""
        target, outbox = self._target, self._to_target
        if target is None or outbox is None:
            return
        up, down = self._forwarding.rest()
        tunnels = self._tunnels
        self._idle.remove(self)
        relay = self._relay = Relay(
            tunnels.memory, self._client, target, self._relayed, tunnels.half_closed
        )
        if tunnels.idle is not None:
            tunnels.idle.add(relay)
        relay.start(
            up=outbox.take_back() + up,
            down=self._to_client.take_back() + down,
            client_ended=self._client_ended,
        )

    def _relayed(self, ending: RelayEnding) -> None:
        relay, exchange = self._relay, self._last
        if relay is not None and exchange is not None:
            if self._tunnels.idle is not None:
                self._tunnels.idle.remove(relay)
            self._tell(exchange, relay.bytes_up, relay.bytes_down, ending.value, failed=False)
        self._end()

    def _linger(self) -> None:
        """Stay until the client has the last answer: closing on unread bytes would be a reset."""
        try:
            self._client.shutdown_write()
        except OSError:
            self._close()
            return
        self._over = True
        self._idle.remove(self)
        self._tunnels.loop.call_later(LINGER, self._close)
        self._client.start_reading(self._discard)

    def _discard(self) -> None:
        try:
            data = self._client.recv(READ_SIZE)
        except OSError:
            data = b""
        if data == b"":
            self._close()

    def _close(self) -> None:
        self._client.close()
        self._end()

    def _abort(self, why: str) -> None:
        self._forwarding.client_lost(why)
        self._drop_target()
        self._client.abort()
        self._end()

    def _drop_target(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._target is not None:
            self._target.close()
        self._target = self._to_target = None

    def _end(self) -> None:
        self._over = True
        self._idle.remove(self)
        self._tunnels.forget(self)

    def _log(self, exchange: Exchange) -> None:
        self._last = exchange
        error = exchange.error
        method = exchange.request.method.decode("ascii", "replace")
        said = f"{method} {exchange.status}" if exchange.status else method
        ending = f"{said}: {told(error)}" if error else said
        self._tell(exchange, exchange.bytes_up, exchange.bytes_down, ending, failed=bool(error))

    def _tell(self, exchange: Exchange, up: int, down: int, ending: str, *, failed: bool) -> None:
        level = logging.WARNING if failed else logging.INFO
        if not self._tunnels.log.isEnabledFor(level):
            return
        end = TunnelEnd(
            peer=self._peer,
            client=exchange.client,
            target=str(exchange.target),
            bytes_up=up,
            bytes_down=down,
            seconds=monotonic() - exchange.began,
            ending=ending,
            failed=failed,
        )
        self._tunnels.log.log(level, end)
