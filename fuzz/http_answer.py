"""Forwarded HTTP from the target's side: answers, their framing and their ends.

The first byte selects the request (`REQUESTS`); the target sends the other bytes.
"""

from collections.abc import Iterable, Sequence

import h11

from fuzz.handshakes import in_one_piece, one_by_one
from fuzz.properties import MAX_LINE_CHARACTERS, without_fault
from fuzz.strict import Message, Reader
from netjumper.bridge.http.exchange import ConnectionEnd, Exchange
from netjumper.bridge.http.forwarding import Forwarding
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake

REQUESTS: Sequence[tuple[bytes, bytes, bytes]] = (
    (b"GET", b"1.1", b""),
    (b"HEAD", b"1.1", b""),
    (b"GET", b"1.0", b""),
    (b"GET", b"1.1", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    (b"POST", b"1.1", b"Expect: 100-continue\r\nContent-Length: 3\r\n"),
    (b"HEAD", b"1.0", b"Connection: keep-alive\r\n"),
)
NAME = b"bridge-1"


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    request = REQUESTS[data[0] % len(REQUESTS) if data else 0]
    stream = data[1:]
    whole = _assert_piece_independence(request, in_one_piece(stream), one_by_one(stream))
    whole.check()
    ended = _assert_piece_independence(
        request, [*in_one_piece(stream), b""], [*one_by_one(stream), b""]
    )
    assert ended.done or ended.ending, "it waits after the target's end of stream"
    ended.check()
    _assert_body_as_h11(request, stream, ended)


class ForwardedRequest:
    """A forwarded request and the answer that the client receives."""

    def __init__(self, request: tuple[bytes, bytes, bytes]) -> None:
        self.method, version, fields = request
        line = self.method + b" http://www.example.org/ HTTP/" + version
        handshake = HttpHandshake()
        handshake.receive_data(line + b"\r\nHost: www.example.org\r\n" + fields + b"\r\n")
        assert isinstance(handshake.result, AuthorizedRequest)
        self.done: list[Exchange] = []
        self.received = bytearray()
        self._forwarding = Forwarding(
            handshake.result, name=NAME, clock=lambda: 0.0, done=self.done.append
        )
        self._forwarding.target_opened()
        self._forwarding.data_to_target()
        self._switched = b""

    @property
    def ending(self) -> ConnectionEnd | None:
        """How the client's connection ends; None if it stays open."""
        return self._forwarding.connection_end

    def feed(self, pieces: Iterable[bytes]) -> "ForwardedRequest":
        """Feed pieces from the target."""
        for piece in pieces:
            if self.ending is ConnectionEnd.SWITCHED:
                self._switched += piece
            elif self.ending is None and not self._forwarding.must_close_target:
                self._receive(piece)
        return self

    def _receive(self, piece: bytes) -> None:
        self._forwarding.receive_from_target(piece)
        self.received += self._forwarding.data_to_client()
        if self.ending is ConnectionEnd.SWITCHED:
            self._switched += self._forwarding.rest()[1]

    @property
    def messages(self) -> tuple[list[Message], bool]:
        """The messages that the client reads, and whether the last is complete."""
        reader, messages, is_whole = Reader(bytes(self.received)), [], True
        while not reader.is_at_end:
            message, is_whole = reader.answer(self.method)
            messages.append(message)
        return messages, is_whole

    @property
    def outcome(self) -> object:
        """Everything that must not depend on the size of pieces."""
        exchanges = [(without_fault(it.ending), it.status, it.bytes_down) for it in self.done]
        messages, is_whole = self.messages
        from_target = [it for it in messages if it.line[0] != b"502" or it.values(b"via")]
        return exchanges, from_target, is_whole, self.ending, self._switched

    def check(self) -> None:
        """Assert the properties of any answer to the client."""
        messages, is_whole = self.messages
        finals = [it for it in messages if it.line[0] >= b"200"]
        assert len(finals) <= 1, "more than one answer"
        assert not finals or finals[0] is messages[-1], "something follows the answer"
        for message in messages:
            message.assert_forwardable()
            assert message.line[0] != b"407"
        for exchange in self.done:
            assert len(exchange.ending) <= MAX_LINE_CHARACTERS
            if self.ending is not ConnectionEnd.RESET and self.ending is not ConnectionEnd.SWITCHED:
                assert is_whole
                assert finals
                assert not exchange.status or int(finals[0].line[0]) == exchange.status


def _assert_piece_independence(
    request: tuple[bytes, bytes, bytes], pieces: list[bytes], others: list[bytes]
) -> ForwardedRequest:
    whole, cut = ForwardedRequest(request).feed(pieces), ForwardedRequest(request).feed(others)
    assert cut.outcome == whole.outcome, f"{cut.outcome} instead of {whole.outcome}"
    return whole


def _assert_body_as_h11(
    request: tuple[bytes, bytes, bytes], stream: bytes, it: ForwardedRequest
) -> None:
    """Assert that a complete answer has the body that h11 reads, if h11 accepts it."""
    exchange = it.done[0] if it.done else None
    if exchange is None or exchange.error is not None or it.ending is ConnectionEnd.SWITCHED:
        return
    method, _, fields = request
    upgrade = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    headers = [(b"Host", b"x"), *(upgrade if b"websocket" in fields else [])]
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method=method, target=b"/", headers=headers))
    reader.send(h11.EndOfMessage())
    reader.receive_data(stream)
    reader.receive_data(b"")
    body = b""
    try:
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
    except h11.RemoteProtocolError:
        return  # the bridge repairs this fault of its head
    messages, _ = it.messages
    assert messages[-1].body == body
