"""The forwarder's side towards a target: what is sent there waits until the target is reached."""

from collections.abc import Callable

from netjumper.addressing.address import Address
from netjumper.bridge.http.write_buffer import WriteBuffer
from netjumper.errors import NetjumperError
from netjumper.net.connector import Connector, Failed, PendingConnection
from netjumper.net.endpoint import Endpoint


class TargetConnection:
    """The connection to one target after the other, each from its beginning on.

    Args:
        connector: what leads to targets.
        opened: called when a connection stands.
        failed: called when there is none.
        moved: called whenever waiting bytes have left.
    """

    __slots__ = (
        "_connector",
        "_failed",
        "_held",
        "_moved",
        "_opened",
        "_opening",
        "_outbox",
        "end",
    )

    def __init__(
        self,
        connector: Connector,
        opened: Callable[[], None],
        failed: Failed,
        moved: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._opened = opened
        self._failed = failed
        self._moved = moved
        self._opening: PendingConnection | None = None
        self._held = bytearray()
        """What is for a target that is not reached yet."""
        self._outbox: WriteBuffer | None = None
        self.end: Endpoint | None = None
        """The connection, where it stands."""

    @property
    def is_opening(self) -> bool:
        """Whether a connection is on its way."""
        return self._opening is not None

    @property
    def waiting(self) -> int:
        """How many bytes have not left yet."""
        return len(self._held) + len(self._outbox or b"")

    def open(self, target: Address) -> bool:
        """Begin a connection; False where that failed at once, which `failed` is told then."""
        try:
            self._opening = self._connector.connect(target, self._reached, self._not_reached)
        except NetjumperError as error:  # a target that the connector cannot even ask for
            self._not_reached(error)
            return False
        return True

    def send(self, data: bytes) -> None:
        """Send to the target; a first flight of it leaves before it is reached."""
        if self._outbox is not None:
            self._outbox.send(data)
            return
        self._held += data
        opening = self._opening
        if opening is not None and self._held and (room := opening.early_data_budget):
            opening.send_early(bytes(self._held[:room]))
            del self._held[:room]

    def take_back(self) -> bytes:
        """Return what has not left yet; it is for somebody else to send."""
        return self._outbox.take_back() if self._outbox is not None else b""

    def drop(self) -> None:
        """Have no connection any more, nor one on its way."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self.end is not None:
            self.end.close()
        self.end = self._outbox = None
        self._held.clear()

    def _reached(self, end: Endpoint) -> None:
        self._opening = None
        self.end = end
        self._outbox = WriteBuffer(end, self._moved)
        self._outbox.send(bytes(self._held))
        self._held.clear()
        self._opened()

    def _not_reached(self, error: NetjumperError) -> None:
        self._opening = None
        self._failed(error)
