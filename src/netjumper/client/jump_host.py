"""A jump host: dial it, answer its challenge, name the target, and be connected to the target."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from netjumper.addressing.address import Address
from netjumper.client.challenges import ChallengeHistory
from netjumper.client.failures import lost, named, trust_error, unreachable
from netjumper.client.silence import SilenceWatch
from netjumper.dial_errors import timed_out
from netjumper.errors import (
    JumpHostError,
    JumpHostProtocolError,
    JumpHostTimeout,
    NetjumperError,
)
from netjumper.net.connector import Connector, Failed, Opened, PendingConnection
from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.net.tcp_info import TcpInfo, tcp_info
from netjumper.protocol.wire import ClientHandshake

MAX_EARLY_DATA_BYTES = 14_000
"""Bytes; with the destination they fill the first flight of a connection (RFC 6928). More would
wait for an acknowledgement anyway."""
CORK_TIME_S = 0.005
"""Seconds that a destination waits for early data, so that both leave in one packet."""


class JumpHost:
    """Opens connections to targets through one jump server.

    Args:
        loop: the running loop.
        address: the jump server's address.
        secret: shared with it.
        dialer: dials it; its failures are reported as the jump host's.
        timeout: seconds from the connection to the outcome.
        challenges: of the jump server, from earlier connections; None is none.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        secret: bytes,
        dialer: Connector,
        timeout: float = 15.0,
        challenges: ChallengeHistory | None = None,
    ) -> None:
        self.loop = loop
        self.address = address
        self.secret = secret
        self.dialer = dialer
        self.deadlines: Deadlines[JumpConnection] = Deadlines(loop, timeout, JumpConnection.expire)
        self.corked: Deadlines[JumpConnection] = Deadlines(loop, CORK_TIME_S, JumpConnection.send)
        self.silence = SilenceWatch(loop, address)
        self.challenges = challenges or ChallengeHistory(address)

    def __repr__(self) -> str:
        return f"<JumpHost {self.address}>"

    def connect(self, target: Address, opened: Opened, failed: Failed) -> "JumpConnection":
        """Begin to open a tunnel; `failed` is given a `JumpHostError` or a `TargetError`.

        Raises:
            AddressError: the target is too long for the protocol.
        """
        connection = JumpConnection(self)
        connection.request(target, opened, failed)
        connection.dial()
        return connection


class JumpConnection:
    """One connection to a jump server, until a tunnel's outcome.

    Call `request` to open a tunnel. Or call `park` first: the handshake then continues as far as it
    can without a destination, and waits there for `request`. No byte after the outcome is read:
    what the target sends stays in the socket for the owner of the endpoint.

    Args:
        host: the jump host to connect to.
    """

    __slots__ = (
        "_dial",
        "_early_data_budget",
        "_endpoint",
        "_failed",
        "_handshake",
        "_host",
        "_opened",
        "_parked",
        "has_asked",
    )

    def __init__(self, host: JumpHost) -> None:
        self._host = host
        self._handshake = ClientHandshake(host.secret)
        self._parked: Callable[[], None] | None = None
        self._opened: Opened | None = None
        self._failed: Failed | None = None
        self._endpoint: Endpoint | None = None
        self._dial: PendingConnection | None = None
        self._early_data_budget = MAX_EARLY_DATA_BYTES
        self.has_asked = False
        """Some of the request was sent: the jump server may relay it."""

    def park(self, parked: Callable[[], None], failed: Failed) -> None:
        """Wait for a destination after authentication.

        Args:
            parked: called when the connection waits.
            failed: called when it cannot, or is lost while it waits.
        """
        self._parked, self._failed = parked, failed

    def request(
        self, target: Address, opened: Opened, failed: Failed, *, early_is_near: bool = False
    ) -> None:
        """Name the target, before the dial or when the connection is parked.

        Args:
            target: the target of the tunnel.
            opened: called when the target is reached.
            failed: called when it is not.
            early_is_near: early data will come in a moment, so wait for it: one packet on the path
                instead of two, and only one that can be lost.

        Raises:
            AddressError: the target is too long for the protocol.
        """
        self._handshake.request(target)
        self._opened, self._failed = opened, failed
        self._parked = None
        if self._endpoint is not None:
            self._host.deadlines.add(self)
            if early_is_near:
                self._host.corked.add(self)
            else:
                self.send()

    def dial(self) -> None:
        """Begin to connect."""
        self._dial = self._host.dialer.connect(
            self._host.address, self._connected, self._dial_failed
        )

    @property
    def optimistic(self) -> bool:
        """False: one attempt knows nothing of those before it."""
        return False

    @property
    def early_data_budget(self) -> int:
        """How many bytes can be sent to the target without waiting for the outcome."""
        return self._early_data_budget

    def send_early(self, data: bytes) -> None:
        """Send such bytes after the destination."""
        self._early_data_budget -= len(data)
        self._handshake.send_early(data)
        self.send()

    def send(self) -> None:
        """Send what the handshake has to send, in the next turn of the loop."""
        self._host.corked.remove(self)
        self._host.loop.call_soon(self._do, self._send)

    @property
    def is_authenticated(self) -> bool:
        """Whether the jump server has accepted the answer."""
        return self._handshake.authenticated

    @property
    def has_no_input(self) -> bool:
        """Whether a parked connection has nothing to receive; only its end could come."""
        return self._endpoint is not None and self._endpoint.has_no_input

    @property
    def info(self) -> TcpInfo | None:
        """The kernel's state of the connection; None if there is no connection or no such state."""
        return None if self._endpoint is None else tcp_info(self._endpoint.sock)

    @property
    def peer(self) -> tuple[Any, ...] | None:
        """The jump server's address in a socket's form; None without a connection."""
        return None if self._endpoint is None else self._endpoint.peer

    @property
    def _early_has_left(self) -> bool:
        return self.has_asked and self._early_data_budget < MAX_EARLY_DATA_BYTES

    def cancel(self) -> None:
        """Give up without a callback; early data that was sent must not look complete."""
        self._forget_callbacks()
        self._host.deadlines.remove(self)
        self._host.corked.remove(self)
        self._host.silence.stop(self)
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is None:
            return
        if self._early_has_left:
            endpoint.abort()
        else:
            endpoint.close()

    def _forget_callbacks(self) -> None:
        """Drop the callbacks: a reference cycle would keep the objects of a finished tunnel."""
        self._parked = self._opened = self._failed = None

    def expire(self) -> None:
        """End the attempt: the connection or the outcome took too long."""
        if self._dial is not None:
            self._fail(unreachable(timed_out(str(self._host.address))))
        else:
            self._fail(JumpHostTimeout("it did not answer in time"))

    def _connected(self, endpoint: Endpoint) -> None:
        self._dial = None
        self._endpoint = endpoint
        self._host.deadlines.add(self)
        if endpoint.plain_fd is not None:
            self._host.silence.start(self)
        endpoint.start_reading(self._on_readable)

    def _dial_failed(self, error: NetjumperError) -> None:
        self._dial = None
        self._fail(unreachable(error))

    def _on_readable(self) -> None:
        self._do(self._read)

    def _do(self, step: Callable[[Endpoint], object]) -> None:
        if self._endpoint is None:  # it was given up
            return
        try:
            step(self._endpoint)
        except NetjumperError as error:
            self._fail(error)
        except ssl.SSLError as error:
            self._fail(trust_error(error))
        except OSError as error:
            self._fail(lost(error, heard=self._handshake.has_request))

    def _read(self, endpoint: Endpoint) -> None:
        handshake = self._handshake
        while (data := endpoint.recv(handshake.wanted)) is not None:
            if data:
                self._host.silence.heard(self)
            had_challenge = bool(handshake.challenge)
            handshake.receive_data(data)
            if handshake.challenge and not had_challenge:
                self._host.challenges.record(handshake.challenge)
            if handshake.result is not None:
                self._open(endpoint)
                return
            if handshake.authenticated and self._parked is not None:
                self._wait(self._parked)
            elif self._send(endpoint):
                return

    def _send(self, endpoint: Endpoint) -> bool:
        """Send what the handshake has to send; return whether there was anything."""
        data = self._handshake.data_to_send()
        self.has_asked = self.has_asked or (bool(data) and self._opened is not None)
        if self._early_has_left:
            endpoint.reset_on_exit()
        if data and endpoint.send(data) < len(data):
            raise JumpHostProtocolError("it does not read")
        return bool(data)

    def _wait(self, parked: Callable[[], None]) -> None:
        self._host.deadlines.remove(self)
        self._parked = None
        parked()

    def _open(self, endpoint: Endpoint) -> None:
        self._send(endpoint)  # early data that was added in this turn of the loop
        self._host.deadlines.remove(self)
        self._endpoint = None
        endpoint.stop_reading()
        opened = self._opened
        self._forget_callbacks()
        assert opened is not None  # noqa: S101 - an outcome follows a request
        opened(endpoint)

    def _fail(self, error: NetjumperError) -> None:
        failed = self._failed
        if isinstance(error, JumpHostError):
            self._host.silence.explain(self, error)
            named(error, self._host.address, self._host.secret)
        self.cancel()
        if failed is not None:
            failed(error)
