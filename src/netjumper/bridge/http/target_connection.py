"""The connection to a request's target: bytes for it wait until the target is reached."""

from collections.abc import Callable

from netjumper.addressing.address import Address
from netjumper.bridge.http.write_buffer import WriteBuffer
from netjumper.errors import NetjumperError
from netjumper.net.connector import Connector, Failed, PendingConnection
from netjumper.net.endpoint import Endpoint


class TargetConnection:
    """The connection to one target after the other.

    Args:
        connector: connects to targets.
        opened: called when a connection is established.
        failed: called with the error when it is not.
        drained: called whenever waiting bytes were sent.
    """

    __slots__ = (
        "_buffer",
        "_connector",
        "_drained",
        "_failed",
        "_held",
        "_opened",
        "_opening",
        "end",
    )

    def __init__(
        self,
        connector: Connector,
        opened: Callable[[], None],
        failed: Failed,
        drained: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._opened = opened
        self._failed = failed
        self._drained = drained
        self._opening: PendingConnection | None = None
        self._held = bytearray()
        """Bytes for a target that is not reached yet."""
        self._buffer: WriteBuffer | None = None
        self.end: Endpoint | None = None
        """The established connection; None before that."""

    @property
    def is_opening(self) -> bool:
        """Whether a connection is being established."""
        return self._opening is not None

    @property
    def waiting(self) -> int:
        """How many bytes were not sent yet."""
        return len(self._held) + len(self._buffer or b"")

    def open(self, target: Address) -> bool:
        """Start to connect; return False if that failed at once, after a call of `failed`."""
        try:
            self._opening = self._connector.connect(target, self._reached, self._not_reached)
        except NetjumperError as error:  # the connector rejects the target
            self._not_reached(error)
            return False
        return True

    def send(self, data: bytes) -> None:
        """Send bytes to the target; the first of them are sent as early data."""
        if self._buffer is not None:
            self._buffer.send(data)
            return
        self._held += data
        opening = self._opening
        if opening is not None and self._held and (room := opening.early_data_budget):
            opening.send_early(bytes(self._held[:room]))
            del self._held[:room]

    def take_back(self) -> bytes:
        """Remove and return the bytes that were not sent yet."""
        return self._buffer.take_back() if self._buffer is not None else b""

    def drop(self) -> None:
        """Close the connection, or cancel the attempt."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self.end is not None:
            self.end.close()
        self.end = self._buffer = None
        self._held.clear()

    def _reached(self, end: Endpoint) -> None:
        self._opening = None
        self.end = end
        self._buffer = WriteBuffer(end, self._drained)
        self._buffer.send(bytes(self._held))
        self._held.clear()
        self._opened()

    def _not_reached(self, error: NetjumperError) -> None:
        self._opening = None
        self._failed(error)
