"""Plain HTTP that is forwarded, from the target's side: answers, their framing, their ends.

The first byte selects the request (`REQUESTS`); what follows is what the target sends.
"""

from collections.abc import Iterable, Sequence

import h11

from fuzz.handshakes import in_one_piece, one_by_one
from fuzz.properties import LONGEST_LINE, without_fault
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
    """Hold the properties for one input."""
    request = REQUESTS[data[0] % len(REQUESTS) if data else 0]
    stream = data[1:]
    whole = _hold_however_cut(request, in_one_piece(stream), one_by_one(stream))
    whole.hold()
    ended = _hold_however_cut(request, [*in_one_piece(stream), b""], [*one_by_one(stream), b""])
    assert ended.done or ended.ending, "it waits for a target that is gone"
    ended.hold()
    _hold_the_same_body(request, stream, ended)


class Answered:
    """A request on its way, and what the client is answered."""

    def __init__(self, request: tuple[bytes, bytes, bytes]) -> None:
        self.method, version, fields = request
        line = self.method + b" http://www.example.org/ HTTP/" + version
        handshake = HttpHandshake()
        handshake.receive_data(line + b"\r\nHost: www.example.org\r\n" + fields + b"\r\n")
        assert isinstance(handshake.result, AuthorizedRequest)
        self.done: list[Exchange] = []
        self.heard = bytearray()
        self._forwarding = Forwarding(
            handshake.result, name=NAME, clock=lambda: 0.0, done=self.done.append
        )
        self._forwarding.target_opened()
        self._forwarding.data_to_target()
        self._switched = b""

    @property
    def ending(self) -> ConnectionEnd | None:
        """What becomes of the client's connection."""
        return self._forwarding.connection_end

    def feed(self, pieces: Iterable[bytes]) -> "Answered":
        """Have the target send."""
        for piece in pieces:
            if self.ending is ConnectionEnd.SWITCHED:
                self._switched += piece
            elif self.ending is None and not self._forwarding.must_close_target:
                self._take(piece)
        return self

    def _take(self, piece: bytes) -> None:
        self._forwarding.receive_from_target(piece)
        self.heard += self._forwarding.data_to_client()
        if self.ending is ConnectionEnd.SWITCHED:
            self._switched += self._forwarding.rest()[1]

    @property
    def messages(self) -> tuple[list[Message], bool]:
        """What the client reads: messages, and whether the last is complete."""
        reader, read, is_whole = Reader(bytes(self.heard)), [], True
        while not reader.is_at_end:
            message, is_whole = reader.answer(self.method)
            read.append(message)
        return read, is_whole

    @property
    def story(self) -> object:
        """What happened, however the bytes were cut."""
        exchanges = [(without_fault(it.ending), it.status, it.bytes_down) for it in self.done]
        messages, is_whole = self.messages
        theirs = [it for it in messages if it.line[0] != b"502" or it.values(b"via")]
        return exchanges, theirs, is_whole, self.ending, self._switched

    def hold(self) -> None:
        """Hold what is true of any answer's way to the client."""
        messages, is_whole = self.messages
        finals = [it for it in messages if it.line[0] >= b"200"]
        assert len(finals) <= 1, "more than one answer"
        assert not finals or finals[0] is messages[-1], "something follows the answer"
        for message in messages:
            message.hold_passed_on()
            assert message.line[0] != b"407"
        for exchange in self.done:
            assert len(exchange.ending) <= LONGEST_LINE
            if self.ending is not ConnectionEnd.RESET and self.ending is not ConnectionEnd.SWITCHED:
                assert is_whole
                assert finals
                assert not exchange.status or int(finals[0].line[0]) == exchange.status


def _hold_however_cut(
    request: tuple[bytes, bytes, bytes], pieces: list[bytes], others: list[bytes]
) -> Answered:
    whole, cut = Answered(request).feed(pieces), Answered(request).feed(others)
    assert cut.story == whole.story, f"{cut.story} instead of {whole.story}"
    return whole


def _hold_the_same_body(request: tuple[bytes, bytes, bytes], stream: bytes, it: Answered) -> None:
    """Where an answer came to its end and h11 reads it, it is what h11 reads."""
    exchange = it.done[0] if it.done else None
    if exchange is None or exchange.error is not None or it.ending is ConnectionEnd.SWITCHED:
        return
    method, _, fields = request
    upgrade = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    wants = [(b"Host", b"x"), *(upgrade if b"websocket" in fields else [])]
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method=method, target=b"/", headers=wants))
    reader.send(h11.EndOfMessage())
    reader.receive_data(stream)
    reader.receive_data(b"")
    body = b""
    try:
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
    except h11.RemoteProtocolError:
        return  # its head has a fault that the bridge leaves out
    messages, _ = it.messages
    assert messages[-1].body == body
