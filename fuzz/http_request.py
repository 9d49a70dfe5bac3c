"""Forwarded HTTP from the client's side: requests, their framing and their bodies.

If the first byte is 1, a user name and a password are required. Each target answers its
requests. h11 and the reader of `fuzz.strict` parse them, and must find the same requests.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import h11

from fuzz.handshakes import in_one_piece, in_two_pieces, one_by_one
from fuzz.properties import MAX_LINE_CHARACTERS, answers_without_fault, without_fault
from fuzz.socks import CREDENTIALS
from fuzz.strict import Incomplete, Message, Reader
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.exchange import ConnectionEnd, Exchange
from netjumper.bridge.http.forwarding import Forwarding
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake
from netjumper.bridge.http.headers import host_field
from netjumper.errors import NetjumperError

NAME = b"bridge-1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    credentials = CREDENTIALS if data[:1] == b"\1" else None
    stream = data[1:]
    whole = Conversation(credentials).feed(in_one_piece(stream))
    for pieces in (one_by_one(stream), in_two_pieces(stream)):
        outcome = Conversation(credentials).feed(pieces).outcome
        assert outcome == whole.outcome, (
            f"{len(pieces)} pieces: {outcome} instead of {whole.outcome}"
        )
    Conversation(credentials).feed([*in_one_piece(stream), b""])
    whole.assert_answers()
    for target in whole.targets:
        target.check()
    sent = sum(len(target.received) for target in whole.targets)
    assert sent <= 20 * len(stream) + 1000 * len(whole.targets)


@dataclass
class Target:
    """The server at the end of an upstream connection, which answers each complete request."""

    host: bytes
    received: bytearray = field(default_factory=bytearray)
    requests: list[Message] = field(default_factory=list)
    _reader: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER))
    _request: h11.Request | None = None
    _body: bytes = b""

    def receive(self, data: bytes) -> bytes:
        """Receive bytes of the bridge and return the answer."""
        if data:  # h11 takes empty data for the end of the stream
            self._reader.receive_data(data)
        self.received += data
        while True:
            event = self._reader.next_event()
            if isinstance(event, h11.Request):
                self._request, self._body = event, b""
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return self._answered(event)
            else:
                return b""

    def _answered(self, end: h11.EndOfMessage) -> bytes:
        request = self._request
        assert request is not None
        self.requests.append(
            Message(
                (request.method, request.target),
                list(request.headers),
                self._body,
                tuple(end.headers),
            )
        )
        head_only = request.method == b"HEAD"
        self._reader.send(h11.Response(status_code=200, headers=[(b"Content-Length", b"2")]))
        if not head_only:
            self._reader.send(h11.Data(data=b"ok"))
        self._reader.send(h11.EndOfMessage())
        self._reader.start_next_cycle()
        return OK[:-2] if head_only else OK

    def check(self) -> None:
        """Assert that the received bytes are exactly these requests, for any parser."""
        reader = Reader(bytes(self.received))
        for request in self.requests:
            assert reader.request() == request
            self._assert_fields(request)
        try:
            reader.request()
        except Incomplete:
            return
        raise AssertionError("a request that h11 did not see")

    def _assert_fields(self, request: Message) -> None:
        assert request.values(b"host") == [self.host]
        assert request.values(b"via")[-1].endswith(NAME)
        request.assert_forwardable()
        assert request.values(b"connection") in ([], [b"Upgrade"])


class Conversation:
    """A client's connection to the bridge, and the targets of its requests."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._guarded = credentials is not None
        self._handshake = HttpHandshake(credentials)
        self._forwarding: Forwarding | None = None
        self._target: Target | None = None
        self.targets: list[Target] = []
        self.received = bytearray()
        self.handshake_answer_size = 0
        self.done: list[Exchange] = []
        self.end: object = None

    @property
    def is_over(self) -> bool:
        """Whether the bridge no longer reads from the client."""
        return self.end is not None

    @property
    def outcome(self) -> object:
        """Everything that must not depend on the size of pieces."""
        exchanges = [
            (without_fault(it.ending), it.client, it.target, it.status, it.bytes_up, it.bytes_down)
            for it in self.done
        ]
        requests = [(it.host, it.requests) for it in self.targets if it.requests]
        return exchanges, requests, answers_without_fault(bytes(self.received)), self.end

    def feed(self, pieces: Iterable[bytes]) -> "Conversation":
        """Feed pieces from the client."""
        for piece in pieces:
            if self.is_over:
                break
            if self._forwarding is None:
                self._feed_handshake(piece)
            else:
                self._forwarding.receive_from_client(piece)
            self._run_forwarding()
        return self

    def _feed_handshake(self, piece: bytes) -> None:
        handshake = self._handshake
        try:
            handshake.receive_data(piece)
        except NetjumperError as error:
            self.end = (type(error), without_fault(str(error)))
        self.received += handshake.data_to_send()
        self.handshake_answer_size = len(self.received)
        if isinstance(handshake.result, AuthorizedRequest):
            self._forwarding = Forwarding(
                handshake.result, name=NAME, clock=lambda: 0.0, done=self.done.append
            )
        elif handshake.result is not None:
            self.end = handshake.result

    def _run_forwarding(self) -> None:
        """Move data between client and target, as the driver does, until nothing is left."""
        forwarding = self._forwarding
        while forwarding is not None and not self.is_over:
            self.received += forwarding.data_to_client()
            if forwarding.must_close_target:
                forwarding.must_close_target = False
                self._target = None
            if forwarding.target_to_open is not None:
                self._target = Target(host_field(forwarding.target_to_open))
                self.targets.append(self._target)
                forwarding.target_opened()
            answer = self._target.receive(forwarding.data_to_target()) if self._target else b""
            if forwarding.connection_end is not None:
                self._finish(forwarding, forwarding.connection_end)
            elif answer:
                forwarding.receive_from_target(answer)
            elif not forwarding.must_close_target and forwarding.target_to_open is None:
                break

    def _finish(self, forwarding: Forwarding, ending: ConnectionEnd) -> None:
        self.received += forwarding.data_to_client()
        self.end = ending
        if ending is ConnectionEnd.TUNNEL:
            self.end = (ending, forwarding.tunnel().result)

    def assert_answers(self) -> None:
        """Assert that the client receives one answer to each request, and no more."""
        reader = Reader(bytes(self.received[self.handshake_answer_size :]))
        for exchange in self.done:
            assert len(exchange.ending) <= MAX_LINE_CHARACTERS
            assert not self._guarded or exchange.client == "alice" or not exchange.target
            if exchange.error is not None and self.end is ConnectionEnd.RESET:
                return
            message, is_whole = reader.answer(exchange.request.method if exchange.request else b"")
            assert is_whole or exchange.request is None  # to a HEAD request that was refused early
            assert not exchange.status or int(message.line[0]) == exchange.status
        assert reader.is_at_end, "more answers than requests"
