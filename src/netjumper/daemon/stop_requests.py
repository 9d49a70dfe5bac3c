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
    """Counts how often an end was asked for: the first lets tunnels end, the second does not."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._loop = loop

    def once(self) -> None:
        """An end was asked for."""
        (self.second if self.first.is_set() else self.first).set()

    def by_signals(self) -> None:
        """Have the signals that ask for an end counted."""
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._loop.add_signal_handler(number, self.once)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: self._loop.call_soon_threadsafe(self.once))


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

    def serves(self) -> None:
        """Tell the parent."""
        with contextlib.suppress(OSError):  # it is gone, which will be read
            self._link.send(READY)

    def _read(self) -> None:
        try:
            told = self._link.recv(64)
        except ConnectionResetError:
            told = b""
        for word in told:
            (self._reload if word == RELOAD[0] else self.once)()
        if not told:
            _LOG.warning("the parent process is gone")
            self._loop.remove_reader(self._link.fileno())
            self.first.set()
            self.by_signals()  # nobody else hears them any more
