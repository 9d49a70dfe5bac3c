"""A jump host: dial it, answer its challenge, name the target; then it is a way to the target."""

import asyncio

from netjumper.address import Address
from netjumper.errors import (
    JumpHostError,
    JumpHostProtocolError,
    JumpHostTimeout,
    JumpHostUnreachable,
    NetjumperError,
    TargetError,
)
from netjumper.net.deadlines import Deadlines
from netjumper.net.dial import Connector, Failed, Opened, Opening
from netjumper.net.endpoint import Endpoint
from netjumper.wire import ClientHandshake


class JumpHost:
    """Leads to targets by way of one jump server.

    Args:
        loop: the running loop.
        address: the jump server's.
        secret: shared with it.
        dialer: makes the connection to it; its failures are told as the jump host's.
        timeout: seconds from the connection until the outcome.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        secret: bytes,
        dialer: Connector,
        timeout: float = 15.0,
    ) -> None:
        self.loop = loop
        self.address = address
        self.secret = secret
        self.dialer = dialer
        self.deadlines: Deadlines[JumpConnection] = Deadlines(loop, timeout, JumpConnection.expire)

    def __repr__(self) -> str:
        return f"<JumpHost {self.address}>"

    def connect(self, target: Address, opened: Opened, failed: Failed) -> "JumpConnection":
        """Begin a tunnel; `failed` is given a `JumpHostError` or a `TargetError`.

        Raises:
            AddressError: the target is too long for the protocol.
        """
        return JumpConnection(self, target, opened, failed)


class JumpConnection:
    """One connection to a jump server, until its outcome.

    It reads no byte beyond the outcome: what the target sends stays in the socket for whoever
    gets the endpoint.
    """

    __slots__ = ("_dial", "_endpoint", "_failed", "_handshake", "_host", "_opened")

    def __init__(self, host: JumpHost, target: Address, opened: Opened, failed: Failed) -> None:
        self._host = host
        self._opened = opened
        self._failed = failed
        self._handshake = ClientHandshake(host.secret)
        self._handshake.request(target)
        self._endpoint: Endpoint | None = None
        self._dial: Opening | None = host.dialer.connect(
            host.address, self._connected, self._dial_failed
        )

    def cancel(self) -> None:
        """Give it up without a word."""
        self._host.deadlines.remove(self)
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    def expire(self) -> None:
        """The connection, or the outcome, did not come in time."""
        if self._dial is not None:
            unreachable = JumpHostUnreachable("i/o timeout")
            unreachable.__cause__ = TimeoutError()
            self._fail(unreachable)
        else:
            self._fail(JumpHostTimeout("it did not answer in time"))

    def _connected(self, endpoint: Endpoint) -> None:
        self._dial = None
        self._endpoint = endpoint
        self._host.deadlines.add(self)
        endpoint.start_reading(self._on_readable)

    def _dial_failed(self, error: NetjumperError) -> None:
        self._dial = None
        reason = error.reason if isinstance(error, TargetError) else str(error)
        unreachable = JumpHostUnreachable(reason)
        unreachable.__cause__ = error
        self._fail(unreachable)

    def _on_readable(self) -> None:
        endpoint, handshake = self._endpoint, self._handshake
        assert endpoint is not None  # noqa: S101 - it is the one that calls
        try:
            while handshake.result is None:
                data = endpoint.recv(handshake.wanted)
                if data is None:
                    return
                handshake.receive_data(data)
                if answer := handshake.data_to_send():
                    if endpoint.send(answer) < len(answer):
                        raise JumpHostProtocolError("it does not read")
                    return
        except NetjumperError as error:
            self._fail(error)
        except OSError as error:
            broken = JumpHostProtocolError(f"lost in the middle of the handshake: {error.strerror}")
            broken.__cause__ = error
            self._fail(broken)
        else:
            self._host.deadlines.remove(self)
            self._endpoint = None
            endpoint.stop_reading()
            self._opened(endpoint)

    def _fail(self, error: NetjumperError) -> None:
        if isinstance(error, JumpHostError):
            error.at(self._host.address)
        self.cancel()
        self._failed(error)
