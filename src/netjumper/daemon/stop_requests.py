"""Requests to stop: by a signal, or by the parent process."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable

from netjumper.daemon.supervisor import READY, RELOAD

_LOG = logging.getLogger("netjumper")


class StopRequests:
    """Counts requests to stop: after the first, tunnels may finish; the second aborts them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._loop = loop

    def record(self) -> None:
        """Record one request."""
        (self.second if self.first.is_set() else self.first).set()

    def by_signals(self) -> None:
        """Record a request for each SIGINT and SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._loop.add_signal_handler(number, self.record)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: self._loop.call_soon_threadsafe(self.record))


class ParentLink(StopRequests):
    """A worker's end of the link to its parent (`netjumper.daemon.supervisor`)."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, link: socket.socket, reload: Callable[[], object]
    ) -> None:
        super().__init__(loop)
        self._link = link
        self._reload = reload
        link.setblocking(False)
        loop.add_reader(link.fileno(), self._read)

    def report_ready(self) -> None:
        """Report to the parent that this worker serves."""
        with contextlib.suppress(OSError):  # the parent is gone, which will be read
            self._link.send(READY)

    def _read(self) -> None:
        try:
            received = self._link.recv(64)
        except ConnectionResetError:
            received = b""
        for message in received:
            (self._reload if message == RELOAD[0] else self.record)()
        if not received:
            _LOG.warning("the parent process is gone; stopping")
            self._loop.remove_reader(self._link.fileno())
            self.first.set()
            self.by_signals()  # the parent does not pass them on any more
