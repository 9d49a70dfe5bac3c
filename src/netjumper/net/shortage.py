"""When the system has run out of something: which errors say so, and how often it is told."""

import logging
from math import inf

PAUSE = 1.0
"""Seconds without accepting after a failure that would only come again; told once in that time."""

_LOG = logging.getLogger("netjumper")


class Complaint:
    """Tells of what cannot be accepted, in one line a pause for all listeners of the process."""

    def __init__(self) -> None:
        self._next = -inf

    def tell(self, now: float, address: str, error: OSError) -> None:
        """Tell it, unless that was just done.

        Args:
            now: seconds that never go back.
            address: where nothing is accepted.
            error: why.
        """
        if now >= self._next:
            self._next = now + PAUSE
            reason = error.strerror or error
            _LOG.error("cannot accept connections on %s for %g s: %s", address, PAUSE, reason)
