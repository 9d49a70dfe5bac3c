"""Forwards plain HTTP requests, sans-I/O (`http_proxy=`; RFC 9110 section 7, RFC 9112).

There are two h11 connections: the client's, and one to the target of the current request. Every
message is rebuilt from its parsed form; no byte of a head is copied. Bodies are streamed.

The driver passes received bytes to `receive_from_client` and `receive_from_target`, and sends what
`data_to_client` and `data_to_target` return. It acts on four attributes: `must_close_target`,
`target_to_open` (connect there, then call `target_opened` or `target_failed`; the bytes for the
target may be sent before that), `has_more` (call `advance` in a later turn of the loop, and receive
nothing before), and `connection_end`.
"""

from collections.abc import Callable

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.http.client_connection import HttpClientConnection
from netjumper.bridge.http.exchange import MAX_UNPROVED_S, ConnectionEnd, Exchange
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

MAX_EVENTS_PER_TURN = 64
"""HTTP events processed in a row; a peer can send thousands in what one call receives."""
MAX_TURN_S = 0.003
"""Seconds after which a turn ends with the event at hand: a head of many fields takes one."""


class Forwarding:
    """Forwards the requests of one client connection, one after the other.

    Args:
        first: the first request, and the client's connection.
        name: the bridge's name in Via; no other bridge has the same.
        clock: returns seconds, and is monotonic.
        done: called with each finished exchange.
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
        self._answered_at = 0.0
        self._target: HttpClientConnection | None = None
        self._connect: AuthorizedRequest | None = None
        self.target_to_open: Address | None = None
        self.must_close_target = False
        self._shutting_down = False
        self.has_more = False
        self.connection_end: ConnectionEnd | None = None
        self._begin(first.request)
        self.advance()

    @property
    def idle(self) -> bool:
        """Whether the client's next request is awaited."""
        return self._exchange is None and self.connection_end is None

    @property
    def awaits_answer(self) -> bool:
        """Whether nothing came yet of the answer to a request."""
        return self._exchange is not None and not self._exchange.status

    def receive_from_client(self, data: bytes) -> None:
        """Process bytes from the client; `b""` is the end of its stream."""
        self._server.receive_data(data)
        self.advance()

    def receive_from_target(self, data: bytes) -> None:
        """Process bytes from the target; `b""` is the end of its stream."""
        if self.idle and data:  # unsolicited, and it would be taken for the next answer
            self._drop_target()
        if self._target is not None:
            self._target.receive_data(data)
            self.advance()

    def target_opened(self) -> None:
        """Record that the connection to `target_to_open` is established."""
        self.target_to_open = None
        self.advance()

    def target_failed(self, error: NetjumperError) -> None:
        """Record that the connection to `target_to_open` failed."""
        self.target_to_open = self._target = None
        if self._exchange is not None:
            self._fail(self._exchange, error)

    def target_lost(self) -> None:
        """Record that the target's connection was reset."""
        if self._target is not None:
            self._target_broke(AnswerCut("the target reset the connection"))
            self.advance()

    def begin_shutdown(self) -> None:
        """Serve no further request."""
        self._shutting_down = True
        if self.idle:
            self.connection_end = ConnectionEnd.CLOSE

    def expire(self) -> bool:
        """End the exchange after the idle timeout; return whether the client gets an answer."""
        exchange = self._exchange
        if exchange is None or exchange.status:
            return False
        self._drop_target()
        self._fail(exchange, AnswerTimeout("the target did not answer before the idle timeout"))
        return True

    def client_lost(self, reason: str) -> None:
        """End the exchange, as the client's connection is lost or gets closed."""
        self._finish(EndOfStream(reason))
        self._drop_target()

    def data_to_client(self) -> bytes:
        """Return the bytes queued for the client and empty the queue."""
        return self._server.data_to_send()

    def data_to_target(self) -> bytes:
        """Return the bytes queued for the target and empty the queue."""
        return self._target.data_to_send() if self._target is not None else b""

    @property
    def waiting(self) -> int:
        """How many bytes from the client are not processed yet."""
        return len(self._server.trailing_data())

    def rest(self) -> tuple[bytes, bytes]:
        """Return the bytes after a protocol switch: from the client, and from the target."""
        target = self._target.trailing_data() if self._target is not None else b""
        return self._server.trailing_data(), target

    def tunnel(self) -> HttpHandshake:
        """Return the handshake that continues with the client's CONNECT."""
        return HttpHandshake(connect=self._connect)

    def advance(self) -> None:
        """Process what was received, for `MAX_EVENTS_PER_TURN` events or `MAX_TURN_S` at most."""
        until = self._clock() + MAX_TURN_S
        for _ in range(MAX_EVENTS_PER_TURN):
            is_over = self.connection_end is not None
            self.has_more = not is_over and (self._process_client() or self._process_target())
            if not self.has_more or self._clock() >= until:
                return

    # The client's events.

    def _process_client(self) -> bool:
        """Process the client's next event; return False if there is none yet."""
        exchange, target = self._exchange, self._target
        if exchange is not None and (exchange.all_sent or target is None):
            return False
        try:
            event = self._server.next_event()
        except ProtocolError as error:
            self._drop_target()
            self._exchange = exchange or Exchange(None, "", None, self._clock())
            self._finish(
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
            assert exchange.request is not None  # noqa: S101 - the end of its body came
            exchange.all_sent = True
            target.send(h11.EndOfMessage(headers=forwarded_trailers(event, exchange.request)))
        else:
            return False
        return True

    def _begin(self, request: h11.Request) -> None:
        """Start an exchange: forward the request, or end it here."""
        client = self._server.user(request)
        exchange = self._exchange = Exchange(request, client or "", None, self._clock())
        routed = route(self._server, request, client, self._name)
        if isinstance(routed, Address):
            self._forward(exchange, routed)
        elif isinstance(routed, AuthorizedRequest):
            self._exchange = None  # the tunnel logs it
            self._connect = routed
            self.connection_end = ConnectionEnd.TUNNEL
        else:
            exchange.status = routed.status
            self._finish(routed.error, ConnectionEnd.CLOSE if routed.last else None)

    def _forward(self, exchange: Exchange, address: Address) -> None:
        exchange.target = address
        is_live = self._clock() - self._answered_at < MAX_UNPROVED_S or exchange.is_replay_safe
        if self._target is not None and self._target.address == address and is_live:
            exchange.reused = True
            self._send_head(exchange, self._target)
        else:
            self._drop_target()
            self._open_target(exchange, address)

    def _open_target(self, exchange: Exchange, address: Address) -> None:
        """Request a new connection to the target; bytes for it can be queued at once."""
        self.target_to_open = address
        self._target = HttpClientConnection(address)
        self._send_head(exchange, self._target)

    def _send_head(self, exchange: Exchange, target: HttpClientConnection) -> None:
        assert exchange.request is not None  # noqa: S101 - only requests are forwarded
        target.send(forwarded_request(exchange.request, target.address, self._name))
        if exchange.all_sent:  # sent before, so it has no body
            target.send(h11.EndOfMessage())

    # The target's events.

    def _process_target(self) -> bool:
        """Process the target's next event; return False if there is none yet."""
        if self._target is None:
            return False
        try:
            event = self._target.next_event()
        except TargetBroke as error:
            self._target_broke(error)
            return True
        exchange = self._exchange
        if event is None:
            return False
        if exchange is None or isinstance(event, h11.ConnectionClosed):
            self._drop_target()  # no answer is expected between requests
        elif isinstance(event, h11.InformationalResponse):
            self._forward_informational(event)
        elif isinstance(event, h11.Response) and event.status_code == 407:
            self._drop_target()  # RFC 9110 section 15.5.8: only this proxy may send a 407
            reason = "the target is itself a proxy and requires authentication (407)"
            self._fail(exchange, TargetBroke(reason))
        elif isinstance(event, h11.Response):
            exchange.answer, exchange.status = event, event.status_code
            last = self._shutting_down or not exchange.all_sent
            self._server.send(forwarded_answer(event, self._name, last=last))
        elif isinstance(event, h11.Data):
            exchange.bytes_down += len(event.data)
            self._server.send(h11.Data(data=event.data))
        elif isinstance(event, h11.EndOfMessage):  # pragma: no branch - the last kind
            assert exchange.answer is not None  # noqa: S101 - its end came
            self._server.end_answer(forwarded_trailers(event, exchange.answer))
            self._answered(exchange)
        return True

    def _forward_informational(self, event: h11.InformationalResponse) -> None:
        if event.status_code == 101:
            self._server.send(forwarded_answer(event, self._name))
            self._finish(end=ConnectionEnd.SWITCHED)
        elif self._server.speaks_1_1:
            self._server.send(forwarded_answer(event, self._name))

    def _answered(self, exchange: Exchange) -> None:
        self._answered_at = self._clock()
        self._finish()
        if self._target is not None and not self._target.start_next_cycle():
            self._drop_target()
        if self._shutting_down or not exchange.all_sent or not self._server.start_next_cycle():
            self._drop_target()
            self.connection_end = ConnectionEnd.CLOSE

    # Failures.

    def _target_broke(self, error: TargetBroke) -> None:
        """End or repeat the exchange, as the target's connection is not usable any more."""
        exchange, target = self._exchange, self._target
        has_no_answer = target is None or not target.trailing_data()
        self._drop_target()
        if exchange is None:
            return
        if exchange.status:
            self._finish(error, ConnectionEnd.RESET)
        elif exchange.reused and has_no_answer and exchange.is_replay_safe and exchange.target:
            exchange.reused = False
            self._open_target(exchange, exchange.target)
        elif exchange.reused and has_no_answer:
            # As the server would have done: whether to repeat it is the client's decision.
            self._finish(error, ConnectionEnd.CLOSE)
        else:
            self._fail(exchange, error)

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        """Answer that the target cannot be used."""
        self._server.fail(error, str(exchange.target))
        self._finish(error, ConnectionEnd.CLOSE)

    def _finish(self, error: Exception | None = None, end: ConnectionEnd | None = None) -> None:
        """End the exchange, and the client's connection if `end` is given."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.error = error
            self._done(exchange)
        self.connection_end = end or self.connection_end

    def _drop_target(self) -> None:
        self.must_close_target = self.must_close_target or self._target is not None
        self._target = self.target_to_open = None
