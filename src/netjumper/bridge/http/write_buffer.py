"""Bytes on their way out of an endpoint that has no room for all of them at once."""

from collections.abc import Callable

from netjumper.net.endpoint import Endpoint

AT_ONCE = 256 * 1024
"""Bytes offered to the kernel in one call, so that much that waits does not hold the loop up."""


class WriteBuffer:
    """Sends what it is given, in order, as there is room.

    Args:
        endpoint: where to.
        moved: called whenever waiting bytes have left, or the connection turned out to be lost.
    """

    __slots__ = ("_endpoint", "_moved", "_waiting", "lost")

    def __init__(self, endpoint: Endpoint, moved: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._moved = moved
        self._waiting = bytearray()
        self.lost = False
        """The peer takes no more; what is given is thrown away."""

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, data: bytes) -> None:
        """Send now what there is room for, and the rest later."""
        if not data or self.lost:
            return
        if not self._waiting:
            data = data[self._try(data) :]
        if data and not self.lost:
            if not self._waiting:
                self._endpoint.start_writing(self._on_writable)
            self._waiting += data

    def take_back(self) -> bytes:
        """Return what has not left yet; it is no longer this outbox's."""
        self._endpoint.stop_writing()
        data = bytes(self._waiting)
        self._waiting.clear()
        return data

    def _on_writable(self) -> None:
        del self._waiting[: self._try(self._waiting)]
        if not self._waiting or self.lost:
            self.take_back()
        self._moved()

    def _try(self, data: bytes | bytearray) -> int:
        try:
            return self._endpoint.send(memoryview(data)[:AT_ONCE])
        except OSError:
            self.lost = True
            return len(data)
