"""Plain-HTTP forwarding, sans-IO: what `http_proxy=` asks for (RFC 9110 section 7, RFC 9112).

Between two h11 connections, the client's and one to the target that its current request names,
every message is rebuilt from what was parsed; no byte of a head is copied. Bodies go through
piece by piece.

The driver passes what comes in to `receive_from_client` and `receive_from_target`, sends what
`data_to_client` and `data_to_target` return, and acts on `wanted` (connect there, then call
`target_opened` or `target_failed`), `unwanted` (close the target's connection) and `ending`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import h11

from netjumper.address import Address
from netjumper.bridge.fields import forwarded_answer, forwarded_request, forwarded_trailers
from netjumper.bridge.http import ForwardRequest
from netjumper.bridge.http_server import MAX_HEAD, has_body
from netjumper.bridge.refusals import Refused, check_forwardable
from netjumper.errors import AuthenticationError, NetjumperError, ProtocolError
from netjumper.handshake import EndOfStream

REPEATABLE = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
"""Safe methods (RFC 9110 section 9.2.1): asking twice harms nothing."""


class TargetBroke(ProtocolError):
    """The target's answer was cut, or is no HTTP."""


class Ending(Enum):
    """What becomes of the client's connection once everything for it is sent."""

    CLOSE = "closed"
    RESET = "the target's answer was cut"
    SWITCHED = "switched to another protocol"


@dataclass(slots=True)
class Exchange:
    """One request and its answer."""

    request: h11.Request
    client: str
    target: Address
    began: float
    reused: bool = False
    """It went out on a connection that had served another, which may have been dying."""
    all_sent: bool = False
    status: int = 0
    """The answer's, once its head is there."""
    error: Exception | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    """Of the bodies."""


class Forwarding:
    """The requests of one client connection, one after the other.

    Args:
        first: the first request, and the client's connection.
        name: ours in Via fields; no other bridge has the same.
        clock: tells seconds.
        done: called with each exchange that is over.
    """

    def __init__(
        self,
        first: ForwardRequest,
        *,
        name: bytes,
        clock: Callable[[], float],
        done: Callable[[Exchange], None],
    ) -> None:
        self._server = first.server
        self._name = name
        self._clock = clock
        self._done = done
        self._exchange: Exchange | None = None
        self._target: h11.Connection | None = None
        self._connected_to: Address | None = None
        self._to_target = bytearray()
        self.wanted: Address | None = None
        self.unwanted = False
        self.ending: Ending | None = None
        self._begin(first.request)
        self._advance()

    @property
    def idle(self) -> bool:
        """Whether it waits for the client's next request."""
        return self._exchange is None and self.ending is None

    # What the driver calls.

    def receive_from_client(self, data: bytes) -> None:
        """Take bytes from the client; `b""` is the end of its stream."""
        self._server.receive_data(data)
        self._advance()

    def receive_from_target(self, data: bytes) -> None:
        """Take bytes from the target; `b""` is the end of its stream."""
        if self._target is not None:
            self._target.receive_data(data)
            self._advance()

    def target_opened(self) -> None:
        """The connection to `wanted` stands."""
        self._connected_to, self.wanted = self.wanted, None
        self._target = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        if self._exchange is not None:
            self._send_head(self._exchange)
        self._advance()

    def target_failed(self, error: NetjumperError) -> None:
        """There is no connection to `wanted`."""
        self.wanted = None
        if self._exchange is not None:
            self._fail(self._exchange, error)

    def target_lost(self) -> None:
        """The target's connection was reset."""
        if self._target is not None:
            self._broke("it reset the connection")
            self._advance()

    def client_lost(self, why: str) -> None:
        """The client is gone, or is to go: nothing more can be said to it."""
        self._over(EndOfStream(why))
        self._drop_target()

    def data_to_client(self) -> bytes:
        """Return the bytes to send to the client now, each once."""
        return self._server.data_to_send()

    def data_to_target(self) -> bytes:
        """Return the bytes to send to the target now, each once."""
        data = bytes(self._to_target)
        self._to_target.clear()
        return data

    @property
    def waiting(self) -> int:
        """How many of the client's bytes wait for something."""
        return len(self._server.trailing_data())

    def rest(self) -> tuple[bytes, bytes]:
        """Return what came behind a switch: from the client, and from the target."""
        target = self._target.trailing_data[0] if self._target is not None else b""
        return self._server.trailing_data(), target

    # From event to event.

    def _advance(self) -> None:
        while self.ending is None and (self._take_from_client() or self._take_from_target()):
            pass

    def _take_from_client(self) -> bool:
        """Deal with the client's next event; False when there is none for now."""
        exchange = self._exchange
        if exchange is not None and (exchange.all_sent or self._target is None):
            return False
        try:
            event = self._server.next_event()
        except ProtocolError as error:
            self._drop_target()
            self._over(error)
            self.ending = Ending.CLOSE if self._server.answered_all else Ending.RESET
            return False
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data) and exchange is not None:
            exchange.bytes_up += len(event.data)
            self._send_to_target(h11.Data(data=event.data))
        elif isinstance(event, h11.EndOfMessage) and exchange is not None:
            exchange.all_sent = True
            self._send_to_target(h11.EndOfMessage(headers=forwarded_trailers(event)))
        elif isinstance(event, h11.ConnectionClosed):
            self._drop_target()
            self.ending = Ending.CLOSE
        else:
            return False
        return True

    def _begin(self, request: h11.Request) -> None:
        """Check a request, and get it on its way."""
        server = self._server
        client = server.user(request)
        try:
            if client is None:
                server.ask_for_credentials(request)
                return
            target = check_forwardable(request, self._name)
        except Refused as refused:
            refused.answer(server)
            self.ending = Ending.CLOSE
            return
        except AuthenticationError:
            self.ending = Ending.CLOSE
            return
        exchange = self._exchange = Exchange(request, client, target, self._clock())
        if self._target is not None and self._connected_to == target:
            exchange.reused = True
            self._send_head(exchange)
        else:
            self._drop_target()
            self.wanted = target

    def _send_head(self, exchange: Exchange) -> None:
        self._send_to_target(forwarded_request(exchange.request, exchange.target, self._name))

    def _send_to_target(self, event: h11.Event) -> None:
        assert self._target is not None  # noqa: S101 - checked by who takes the event
        self._to_target += self._target.send(event) or b""

    def _take_from_target(self) -> bool:
        """Deal with the target's next event; False when there is none for now."""
        if self._target is None:
            return False
        try:
            event = self._target.next_event()
        except h11.RemoteProtocolError as error:
            self._broke(str(error).partition(": b")[0])
            return True
        exchange = self._exchange
        if isinstance(event, h11.ConnectionClosed) or (exchange is None and _is_event(event)):
            self._drop_target()  # between requests it may close, and has nothing to say
        elif exchange is None or not _is_event(event):
            return False
        elif isinstance(event, h11.InformationalResponse):
            self._pass_information(event)
        elif isinstance(event, h11.Response):
            exchange.status = event.status_code
            self._server.send(forwarded_answer(event, self._name))
        elif isinstance(event, h11.Data):
            exchange.bytes_down += len(event.data)
            self._server.send(h11.Data(data=event.data))
        elif isinstance(event, h11.EndOfMessage):  # pragma: no branch - the last kind
            self._server.end_answer(forwarded_trailers(event))
            self._answered(exchange)
        return True

    def _pass_information(self, event: h11.InformationalResponse) -> None:
        if event.status_code == 101:
            self._server.send(forwarded_answer(event, self._name))
            self._over()
            self.ending = Ending.SWITCHED
        elif self._server.speaks_1_1:
            self._server.send(forwarded_answer(event, self._name))

    def _answered(self, exchange: Exchange) -> None:
        target = self._target
        self._over()
        done = (h11.DONE, h11.DONE)
        if target is not None and (target.our_state, target.their_state) == done:
            target.start_next_cycle()
        else:
            self._drop_target()
        if not exchange.all_sent or not self._server.start_next_cycle():
            self._drop_target()
            self.ending = Ending.CLOSE

    # What goes wrong.

    def _broke(self, why: str) -> None:
        """The target's connection is of no more use."""
        exchange, target = self._exchange, self._target
        silent = target is None or not target.trailing_data[0]
        self._drop_target()
        if exchange is None:
            return
        error = TargetBroke(f"{exchange.target}: {why}")
        if exchange.status:
            self._over(error)
            self.ending = Ending.RESET
        elif exchange.reused and silent and _repeatable(exchange.request):
            exchange.reused = exchange.all_sent = False
            self.wanted = exchange.target
        else:
            self._fail(exchange, error)

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        """Answer that the target is not to be had."""
        self._server.fail(error, str(exchange.target))
        self._over(error)
        self.ending = Ending.CLOSE

    def _over(self, error: Exception | None = None) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.error = error
            self._done(exchange)

    def _drop_target(self) -> None:
        self.unwanted = self.unwanted or self._target is not None
        self._target = None
        self._connected_to = None
        self._to_target.clear()


def _is_event(event: object) -> bool:
    return event is not h11.NEED_DATA and event is not h11.PAUSED


def _repeatable(request: h11.Request) -> bool:
    return request.method in REPEATABLE and not has_body(request)
