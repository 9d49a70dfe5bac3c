"""The client side of HTTP/1.1, sans-I/O: the proxy's connection to one target."""

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.http.answer_head import MAX_ANSWER_HEAD, take_head
from netjumper.bridge.http.chunks import use_strict_chunks
from netjumper.bridge.http.messages import Event
from netjumper.errors import AnswerCut, TargetBroke


class HttpClientConnection:
    """A connection to a target, for one request after the other.

    Args:
        address: the target; requests for another target are never sent on it.
    """

    __slots__ = ("_connection", "_ended", "_held", "_in_head", "_outgoing", "address")

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER_HEAD)
        self._in_head = True
        self._held = bytearray()
        """What came where the head of an answer is due; h11 gets it when it is complete."""
        self._ended = False
        self._outgoing = bytearray()

    def receive_data(self, data: bytes) -> None:
        """Process bytes from the target; `b""` is the end of the stream."""
        if self._in_head:
            self._held += data
            self._ended = self._ended or not data
        else:
            self._connection.receive_data(data)

    def trailing_data(self) -> bytes:
        """Return the bytes that are in no event yet."""
        return self._connection.trailing_data[0] + self._held

    def send(self, event: h11.Event) -> None:
        """Queue an event for `data_to_send`."""
        self._outgoing += self._connection.send(event) or b""

    def data_to_send(self) -> bytes:
        """Return the queued bytes and empty the queue."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def next_event(self) -> Event | None:
        """Return the next event; None if more bytes are needed.

        Raises:
            AnswerCut: the connection ended before the answer was complete.
            TargetBroke: the answer is not valid HTTP.
        """
        if self._in_head:
            head = take_head(self._held)
            if head is not None:
                self._connection.receive_data(head)
            elif self._ended:
                self._release()
            else:
                return None
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            if self._connection.trailing_data[1]:
                reason = "the target closed the connection before its answer was complete"
                raise AnswerCut(reason) from None
            # After the colon, h11 quotes the answer itself.
            reason = str(error).partition(": b")[0]
            raise TargetBroke(f"the target's answer is not valid HTTP: {reason}") from None
        if isinstance(event, h11.Response):
            use_strict_chunks(self._connection)
            self._release()
        elif isinstance(event, h11.InformationalResponse) and event.status_code == 101:
            self._release()
        return None if event is h11.NEED_DATA or event is h11.PAUSED else event

    def start_next_cycle(self) -> bool:
        """Prepare for another request; return False if this connection can take none."""
        connection = self._connection
        if (connection.our_state, connection.their_state) != (h11.DONE, h11.DONE):
            return False
        if self.trailing_data():  # unsolicited, and it would be taken for the next answer
            return False
        connection.start_next_cycle()
        self._in_head = True
        return True

    def _release(self) -> None:
        """Give h11 what follows a head."""
        self._in_head = False
        if self._held:
            self._connection.receive_data(bytes(self._held))
            self._held.clear()
        if self._ended:
            self._connection.receive_data(b"")
