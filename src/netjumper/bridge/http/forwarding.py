"""Plain-HTTP forwarding, sans-IO: what `http_proxy=` asks for (RFC 9110 section 7, RFC 9112).

Between two h11 connections, the client's and one to the target that its current request names,
every message is rebuilt from what was parsed; no byte of a head is copied. Bodies go through
piece by piece.

The driver passes received bytes to `receive_from_client` and `receive_from_target`, and sends what
`data_to_client` and `data_to_target` return. It acts on three attributes: `must_close_target`,
`target_to_open` (connect there, then call `target_opened` or `target_failed`; the bytes for the
target may be sent before that), and `connection_end`.
"""

from collections.abc import Callable

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.http.client_connection import HttpClientConnection
from netjumper.bridge.http.exchange import ConnectionEnd, Exchange
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.bridge.http.headers import forwarded_answer, forwarded_request, forwarded_trailers
from netjumper.bridge.http.routing import route
from netjumper.errors import (
    AnswerCut,
    AnswerTimeout,
    NetjumperError,
    ProtocolError,
    TargetBroke,
)
from netjumper.protocol.handshake import EndOfStream


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
        first: AuthorizedRequest,
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
        self._target: HttpClientConnection | None = None
        self._connect: AuthorizedRequest | None = None
        self.target_to_open: Address | None = None
        self.must_close_target = False
        self._winding_down = False
        self.connection_end: ConnectionEnd | None = None
        self._begin(first.request)
        self._advance()

    # What the driver calls.

    @property
    def idle(self) -> bool:
        """Whether it waits for the client's next request."""
        return self._exchange is None and self.connection_end is None

    def receive_from_client(self, data: bytes) -> None:
        """Take bytes from the client; `b""` is the end of its stream."""
        self._server.receive_data(data)
        self._advance()

    def receive_from_target(self, data: bytes) -> None:
        """Take bytes from the target; `b""` is the end of its stream."""
        if self.idle and data:  # nobody asked for it, and it would be the next request's answer
            self._drop_target()
        if self._target is not None:
            self._target.receive_data(data)
            self._advance()

    def target_opened(self) -> None:
        """The connection to `target_to_open` stands."""
        self.target_to_open = None
        self._advance()

    def target_failed(self, error: NetjumperError) -> None:
        """There is no connection to `target_to_open`."""
        self.target_to_open = self._target = None
        if self._exchange is not None:
            self._fail(self._exchange, error)

    def target_lost(self) -> None:
        """The target's connection was reset."""
        if self._target is not None:
            self._broke(AnswerCut("it reset the connection"))
            self._advance()

    def begin_shutdown(self) -> None:
        """Begin no further request."""
        self._winding_down = True
        if self.idle:
            self.connection_end = ConnectionEnd.CLOSE

    def expire(self) -> bool:
        """Nothing has moved for a long time; return whether the client can still be told."""
        exchange = self._exchange
        if exchange is None or exchange.status:
            return False
        self._drop_target()
        self._fail(exchange, AnswerTimeout("it did not answer before the idle timeout"))
        return True

    def client_lost(self, why: str) -> None:
        """The client is gone, or is to go: nothing more can be said to it."""
        self._over(EndOfStream(why))
        self._drop_target()

    def data_to_client(self) -> bytes:
        """Return the bytes to send to the client now, each once."""
        return self._server.data_to_send()

    def data_to_target(self) -> bytes:
        """Return the bytes to send to the target now, each once."""
        return self._target.data_to_send() if self._target is not None else b""

    @property
    def waiting(self) -> int:
        """How many of the client's bytes wait for something."""
        return len(self._server.trailing_data())

    def rest(self) -> tuple[bytes, bytes]:
        """Return what came behind a switch: from the client, and from the target."""
        target = self._target.trailing_data() if self._target is not None else b""
        return self._server.trailing_data(), target

    def tunnel(self) -> HttpHandshake:
        """Return the handshake that goes on with the client's CONNECT."""
        return HttpHandshake(connect=self._connect)

    # From event to event.

    def _advance(self) -> None:
        while self.connection_end is None and (
            self._take_from_client() or self._take_from_target()
        ):
            pass

    def _take_from_client(self) -> bool:
        """Deal with the client's next event; False when there is none for now."""
        exchange, target = self._exchange, self._target
        if exchange is not None and (exchange.all_sent or target is None):
            return False
        try:
            event = self._server.next_event()
        except ProtocolError as error:
            self._drop_target()
            self._exchange = exchange or Exchange(None, "", None, self._clock())
            self._over(
                error, ConnectionEnd.CLOSE if self._server.answered_all else ConnectionEnd.RESET
            )
            return False
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.ConnectionClosed):
            self._drop_target()
            self.connection_end = ConnectionEnd.CLOSE
        elif exchange is None or target is None:
            return False
        elif isinstance(event, h11.Data):
            exchange.bytes_up += len(event.data)
            target.send(h11.Data(data=event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert exchange.request is not None  # noqa: S101 - its body has ended
            exchange.all_sent = True
            target.send(h11.EndOfMessage(headers=forwarded_trailers(event, exchange.request)))
        else:
            return False
        return True

    def _begin(self, request: h11.Request) -> None:
        """Get a request on its way, if it is let in."""
        client = self._server.user(request)
        exchange = self._exchange = Exchange(request, client or "", None, self._clock())
        way = route(self._server, request, client, self._name)
        if isinstance(way, Address):
            self._forward(exchange, way)
        elif isinstance(way, AuthorizedRequest):
            self._exchange = None  # the tunnel will tell of it
            self._connect = way
            self.connection_end = ConnectionEnd.TUNNEL
        else:
            exchange.status = way.status
            self._over(way.error, ConnectionEnd.CLOSE if way.last else None)

    def _forward(self, exchange: Exchange, address: Address) -> None:
        exchange.target = address
        if self._target is not None and self._target.address == address:
            exchange.reused = True
            self._send_head(exchange, self._target)
        else:
            self._drop_target()
            self._want(exchange, address)

    def _want(self, exchange: Exchange, address: Address) -> None:
        """Have a connection made; what is to be sent there need not wait for it."""
        self.target_to_open = address
        self._target = HttpClientConnection(address)
        self._send_head(exchange, self._target)

    def _send_head(self, exchange: Exchange, target: HttpClientConnection) -> None:
        assert exchange.request is not None  # noqa: S101 - nothing else is sent anywhere
        target.send(forwarded_request(exchange.request, target.address, self._name))
        if exchange.all_sent:  # it has been sent before, and had no body
            target.send(h11.EndOfMessage())

    def _take_from_target(self) -> bool:
        """Deal with the target's next event; False when there is none for now."""
        if self._target is None:
            return False
        try:
            event = self._target.next_event()
        except TargetBroke as error:
            self._broke(error)
            return True
        exchange = self._exchange
        if event is None:
            return False
        if exchange is None or isinstance(event, h11.ConnectionClosed):
            self._drop_target()  # between requests it may close, and has nothing to say
        elif isinstance(event, h11.InformationalResponse):
            self._pass_information(event)
        elif isinstance(event, h11.Response) and event.status_code == 407:
            self._drop_target()  # RFC 9110 section 15.5.8: only the next proxy may ask for it
            self._fail(exchange, TargetBroke("it is a proxy itself, and wants a password (407)"))
        elif isinstance(event, h11.Response):
            exchange.answer, exchange.status = event, event.status_code
            last = self._winding_down or not exchange.all_sent
            self._server.send(forwarded_answer(event, self._name, last=last))
        elif isinstance(event, h11.Data):
            exchange.bytes_down += len(event.data)
            self._server.send(h11.Data(data=event.data))
        elif isinstance(event, h11.EndOfMessage):  # pragma: no branch - the last kind
            assert exchange.answer is not None  # noqa: S101 - it is what has ended
            self._server.end_answer(forwarded_trailers(event, exchange.answer))
            self._answered(exchange)
        return True

    def _pass_information(self, event: h11.InformationalResponse) -> None:
        if event.status_code == 101:
            self._server.send(forwarded_answer(event, self._name))
            self._over(ending=ConnectionEnd.SWITCHED)
        elif self._server.speaks_1_1:
            self._server.send(forwarded_answer(event, self._name))

    def _answered(self, exchange: Exchange) -> None:
        self._over()
        if self._target is not None and not self._target.start_next_cycle():
            self._drop_target()
        if self._winding_down or not exchange.all_sent or not self._server.start_next_cycle():
            self._drop_target()
            self.connection_end = ConnectionEnd.CLOSE

    # What goes wrong.

    def _broke(self, error: TargetBroke) -> None:
        """The target's connection is of no more use."""
        exchange, target = self._exchange, self._target
        silent = target is None or not target.trailing_data()
        self._drop_target()
        if exchange is None:
            return
        if exchange.status:
            self._over(error, ConnectionEnd.RESET)
        elif exchange.reused and silent and exchange.is_replay_safe and exchange.target:
            exchange.reused = False
            self._want(exchange, exchange.target)
        else:
            self._fail(exchange, error)

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        """Answer that the target is not to be had."""
        self._server.fail(error, str(exchange.target))
        self._over(error, ConnectionEnd.CLOSE)

    def _over(self, error: Exception | None = None, ending: ConnectionEnd | None = None) -> None:
        """The exchange is over, and with it the connection where `connection_end` says how."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.error = error
            self._done(exchange)
        self.connection_end = ending or self.connection_end

    def _drop_target(self) -> None:
        self.must_close_target = self.must_close_target or self._target is not None
        self._target = self.target_to_open = None
