"""Bytes that wait until an endpoint can send them."""

from collections.abc import Callable

from netjumper.net.endpoint import Endpoint

MAX_WRITE_BYTES = 256 * 1024
"""Bytes offered to the kernel in one call, so that a full buffer does not block the loop."""


class WriteBuffer:
    """Sends bytes in order, as fast as the endpoint takes them.

    Args:
        endpoint: where the bytes are sent.
        drained: called whenever waiting bytes were sent, or the connection was found to be lost.
    """

    __slots__ = ("_drained", "_endpoint", "_waiting", "lost")

    def __init__(self, endpoint: Endpoint, drained: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._drained = drained
        self._waiting = bytearray()
        self.lost = False
        """Whether the connection is lost; further bytes are discarded."""

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, data: bytes) -> None:
        """Send as many bytes as possible now, and the rest later."""
        if not data or self.lost:
            return
        if not self._waiting:
            data = data[self._try(data) :]
        if data and not self.lost:
            if not self._waiting:
                self._endpoint.start_writing(self._on_writable)
            self._waiting += data

    def take_back(self) -> bytes:
        """Remove and return the bytes that were not sent yet."""
        self._endpoint.stop_writing()
        data = bytes(self._waiting)
        self._waiting.clear()
        return data

    def _on_writable(self) -> None:
        del self._waiting[: self._try(self._waiting)]
        if not self._waiting or self.lost:
            self.take_back()
        self._drained()

    def _try(self, data: bytes | bytearray) -> int:
        try:
            return self._endpoint.send(memoryview(data)[:MAX_WRITE_BYTES])
        except OSError:
            self.lost = True
            return len(data)
