"""The common interface of all handshakes: bytes in, bytes out, without socket, loop and clock.

A handshake is a generator that reads from top to bottom (`yield from self._read_exactly(20)`) and
is resumed when bytes come in. The owner of the socket passes what it receives to `receive_data`
(`b""` is the end of the stream), sends what `data_to_send` returns, and checks `result`. Once that
is set, it takes the bytes after the handshake with `trailing_data`.

A read is never taken for a message: a handshake works the same whether its bytes come all at once
or one at a time, and its tests do both.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from netjumper.addressing.address import Address
from netjumper.errors import ProtocolError

ResultT_co = TypeVar("ResultT_co", covariant=True)

Reading = Generator[None, None, bytes]
"""The type of the read helpers: generators that wait for bytes and return them."""


class EndOfStream(ProtocolError):
    """The peer ended its stream during the handshake."""


class Handshake(Generic[ResultT_co]):
    """The driver of one handshake's generator; subclasses write `_steps`."""

    __slots__ = ("_eof", "_incoming", "_outgoing", "_resume", "has_request", "result", "wanted")

    def __init__(self) -> None:
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._eof = False
        self.result: ResultT_co | None = None
        """The result of the handshake; None until it is complete."""
        self.has_request = False
        """The peer has begun a request; if it leaves now, that is logged."""
        self.wanted = 0
        """How many bytes can be read now without reading past the handshake."""
        self._resume = self._steps()
        self._step()

    def _steps(self) -> Generator[None, None, ResultT_co]:
        raise NotImplementedError

    def receive_data(self, data: bytes) -> None:
        """Process bytes from the peer; `b""` is the end of its stream.

        Raises:
            NetjumperError: the handshake failed. The answer for the peer is in `data_to_send`; this
                must not be called again.
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
        """Return and remove what was received after the handshake's last byte.

        Args:
            limit: the most bytes to return; the rest stays.
        """
        data = bytes(self._incoming[:limit])
        del self._incoming[:limit]
        return data

    @property
    def trailing_size(self) -> int:
        """How many bytes `trailing_data` would return."""
        return len(self._incoming)

    def _step(self) -> None:
        try:
            next(self._resume)
        except StopIteration as stop:
            self.result = stop.value

    def _nothing_requested(self) -> None:
        """Record that what the peer has sent is no request yet, unless there is more of it."""
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
        """Wait for at least one byte and return all that are there; `b""` at the end of the
        stream."""
        while not self._incoming and not self._eof:
            self.wanted = 1
            yield
        return self.trailing_data()


class ListeningHandshake(Handshake[ResultT_co]):
    """The side that receives a request, which is its `result`; it then accepts or rejects it."""

    __slots__ = ()

    corks_success: ClassVar[bool] = False
    """Whether success is reported together with the target's first bytes, if they come soon, to a
    client that has sent early data: one packet on a long path, and only one that can be lost."""

    @property
    def is_parked(self) -> bool:
        """Whether the client is authenticated and has not requested anything yet."""
        return False

    def accept(self) -> None:
        """Put the report of success into `data_to_send`."""
        raise NotImplementedError

    def reject(self, error: Exception) -> None:
        """Put the report of a failure into `data_to_send`, in this protocol's form."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TunnelRequest:
    """A request for a tunnel.

    Attributes:
        target: the target of the tunnel.
        client: the client's authenticated name; empty if clients have no names.
    """

    target: Address
    client: str = ""
