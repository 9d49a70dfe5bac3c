"""One shape for every handshake: bytes in, bytes out; no socket, no asyncio, no clock.

A handshake is a generator that reads straight down (`yield from self._read_exactly(20)`) and
is resumed whenever bytes come in. Whoever owns the socket does four things: gives what it
received to `receive_data` (`b""` is the end of the stream), sends what `data_to_send` returns,
looks at `result`, and, once that is there, takes what came behind the handshake with
`trailing_data`.

Never is one read taken for one message: a handshake works the same whether its bytes come all
at once or one at a time, and that is what its tests do.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from netjumper.addressing.address import Address
from netjumper.errors import ProtocolError

ResultT_co = TypeVar("ResultT_co", covariant=True)

Reading = Generator[None, None, bytes]
"""What the read helpers are: generators that wait for bytes and return them."""


class EndOfStream(ProtocolError):
    """The peer closed its side in the middle of the handshake."""


class Handshake(Generic[ResultT_co]):
    """The driver of one handshake's generator; subclasses write `_steps`."""

    __slots__ = ("_eof", "_incoming", "_outgoing", "_resume", "has_request", "result", "wanted")

    def __init__(self) -> None:
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._eof = False
        self.result: ResultT_co | None = None
        """What the handshake came to; None as long as it is under way."""
        self.has_request = False
        """The peer has begun to ask for something: when it leaves now, the log is to tell."""
        self.wanted = 0
        """How many bytes can be read now without reading past the handshake."""
        self._resume = self._steps()
        self._step()

    def _steps(self) -> Generator[None, None, ResultT_co]:
        raise NotImplementedError

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; `b""` says that it will send no more.

        Raises:
            NetjumperError: the handshake failed. What the peer is to be told is in
                `data_to_send`; the handshake must not be fed again.
        """
        if data:
            self.has_request = True
            self._incoming += data
        else:
            self._eof = True
        if self.result is None:
            self._step()

    def data_to_send(self) -> bytes:
        """Return the bytes to send now, each once; they must leave in one send."""
        if not self._outgoing:
            return b""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def trailing_data(self, limit: int | None = None) -> bytes:
        """Return, once, what was received behind the handshake's last byte.

        Args:
            limit: bytes to return at most; the rest is for another call.
        """
        data = bytes(self._incoming[:limit])
        del self._incoming[:limit]
        return data

    @property
    def trailing_size(self) -> int:
        """How many bytes wait for `trailing_data`."""
        return len(self._incoming)

    def _step(self) -> None:
        try:
            next(self._resume)
        except StopIteration as stop:
            self.result = stop.value

    def _nothing_requested(self) -> None:
        """What the peer has sent asks for nothing yet, unless more of it is there."""
        self.has_request = bool(self._incoming)

    def _write(self, data: bytes) -> None:
        self._outgoing += data

    def _read_exactly(self, count: int) -> Reading:
        """Wait for `count` bytes and return them.

        Raises:
            EndOfStream: the stream ended before that.
        """
        incoming = self._incoming
        while len(incoming) < count:
            if self._eof:
                raise EndOfStream("the connection was closed in the middle of the handshake")
            self.wanted = count - len(incoming)
            yield
        data = bytes(incoming[:count])
        del incoming[:count]
        return data

    def _read_until(self, delimiter: bytes, limit: int) -> Reading:
        """Wait for `delimiter` and return what comes before it, at most `limit` bytes.

        Raises:
            EndOfStream: the stream ended before the delimiter.
            ProtocolError: it does not come within `limit` bytes.
        """
        incoming = self._incoming
        while (end := incoming.find(delimiter, 0, limit + len(delimiter))) < 0:
            if len(incoming) >= limit + len(delimiter):
                raise ProtocolError(f"a field is longer than {limit} bytes")
            if self._eof:
                raise EndOfStream("the connection was closed in the middle of the handshake")
            self.wanted = 1
            yield
        data = bytes(incoming[:end])
        del incoming[: end + len(delimiter)]
        return data

    def _read_some(self) -> Reading:
        """Wait for at least one byte and return all there are; `b""` at the end of the stream."""
        while not self._incoming and not self._eof:
            self.wanted = 1
            yield
        return self.trailing_data()


class ListeningHandshake(Handshake[ResultT_co]):
    """The side that is asked for something: its `result` is the request, then it is decided."""

    __slots__ = ()

    corks_success: ClassVar[bool] = False
    """A client that has sent early data is told that the tunnel stands together with the target's
    first bytes, where these come soon: one packet on a long path, and one that can be lost."""

    @property
    def is_parked(self) -> bool:
        """Whether the client may take its time now: it has proved who it is, and waits."""
        return False

    def accept(self) -> None:
        """Put the good news into `data_to_send`: the tunnel stands."""
        raise NotImplementedError

    def reject(self, error: Exception) -> None:
        """Put into `data_to_send` what went wrong, in this protocol's words."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TunnelRequest:
    """A tunnel to `target`, asked for by `client`.

    Attributes:
        target: where it is to lead.
        client: the name that the client proved, empty where there are none.
    """

    target: Address
    client: str = ""
