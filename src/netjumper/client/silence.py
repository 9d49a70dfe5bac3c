"""Connections without TLS on which a jump host says nothing: does it wait for TLS?

Without TLS a jump server speaks first. One that waits for TLS says nothing until its own timeout,
which looks like a lost path. So the first silence is logged after a second, and the error of a
silent connection says what may be wrong.
"""

import asyncio
import logging
from math import inf

from netjumper.addressing.address import Address
from netjumper.errors import JumpHostError
from netjumper.net.deadlines import Deadlines

SILENCE_S = 1.0
"""Seconds that a jump server without TLS needs at most for its first byte on most paths."""
TLS_HINT = "if that port is one of listen_tls, write netjumper+tls://"
"""What to do if a jump server waits for TLS."""

_LOG = logging.getLogger("netjumper")


class SilenceWatch:
    """Watches the new connections without TLS to one jump host.

    Args:
        loop: the running loop.
        address: the jump host's address, for the log.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self._loop = loop
        self._address = address
        self._deadlines = Deadlines[object](loop, SILENCE_S, self._report)
        self._since: dict[object, float] = {}
        self._is_explained = False

    def __len__(self) -> int:
        return len(self._since)

    def start(self, connection: object) -> None:
        """Watch a connection that was just made."""
        self._since[connection] = self._loop.time()
        if not self._is_explained:
            self._deadlines.add(connection)

    def heard(self, connection: object) -> None:
        """Record that the jump host speaks: later silences have another reason."""
        if connection in self._since:
            self._is_explained = True
            self.stop(connection)

    def stop(self, connection: object) -> None:
        """Watch a connection no longer; it need not be watched."""
        if self._since.pop(connection, None) is not None:
            self._deadlines.remove(connection)

    def explain(self, connection: object, error: JumpHostError) -> None:
        """Add the likely reason to the error of a connection that was silent."""
        explain(self._loop.time() - self._since.get(connection, inf), error)

    def _report(self, _connection: object) -> None:
        if not self._is_explained:
            self._is_explained = True
            _LOG.warning("jump host %s: silent for %g s; %s", self._address, SILENCE_S, TLS_HINT)


def explain(seconds: float, error: JumpHostError) -> None:
    """Add the likely reason to an error, if the jump host was silent for long enough.

    Args:
        seconds: time since the connection was made.
        error: of a connection without TLS on which nothing came.
    """
    if seconds >= SILENCE_S:
        error.args = (f"{error}; {TLS_HINT}",)
