"""The client side of HTTP/1.1 as a proxy needs it: one connection to one target, sans-IO."""

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.http.messages import MAX_HEAD, Event
from netjumper.errors import AnswerCut, TargetBroke


class HttpClientConnection:
    """A connection to a target, request after request.

    Args:
        address: where it leads; requests for another are never sent on it.
    """

    __slots__ = ("_connection", "_outgoing", "address")

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._outgoing = bytearray()

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the target; `b""` is the end of the stream."""
        self._connection.receive_data(data)

    def trailing_data(self) -> bytes:
        """Return what no event has come out of."""
        return self._connection.trailing_data[0]

    def send(self, event: h11.Event) -> None:
        """Add an event to what `data_to_send` returns."""
        self._outgoing += self._connection.send(event) or b""

    def data_to_send(self) -> bytes:
        """Return the bytes to send now, each once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def next_event(self) -> Event | None:
        """Return what came; None when there is nothing more for now.

        Raises:
            AnswerCut: the connection ended before the answer did.
            TargetBroke: it is no valid HTTP.
        """
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            if self._connection.trailing_data[1]:
                raise AnswerCut("it closed the connection before its answer was complete") from None
            # What stands behind is the answer's own text.
            what = str(error).partition(": b")[0]
            raise TargetBroke(f"its answer is not valid HTTP: {what}") from None
        return None if event is h11.NEED_DATA or event is h11.PAUSED else event

    def start_next_cycle(self) -> bool:
        """Make ready for another request; False when this connection can take none."""
        connection = self._connection
        if (connection.our_state, connection.their_state) != (h11.DONE, h11.DONE):
            return False
        if self.trailing_data():  # nobody asked for it, and it would be the next one's answer
            return False
        connection.start_next_cycle()
        return True
