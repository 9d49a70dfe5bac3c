"""The access log: one record for every tunnel, and every forwarded request, that is over."""

import logging
from dataclasses import dataclass

ACCESS_LOG = logging.getLogger("netjumper.access")
NEVER_SUPPRESSED = {"never_suppressed": True}
"""Passed as `extra` with a record: the rate limit of the log never suppresses it."""


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """What is logged of a tunnel, in one line, when it is over.

    Attributes:
        peer: who connected, `ADDRESS:PORT` or `unix`.
        client: the user's proven name; empty where nobody asked for one.
        target: where it led, or was to lead; empty where that was never said.
        bytes_up: from the client to the target.
        bytes_down: from the target to the client.
        seconds: from the first word of what was asked to the end.
        ending: how it ended.
        failed: it is a warning.
    """

    peer: str
    client: str
    target: str
    bytes_up: int
    bytes_down: int
    seconds: float
    ending: str
    failed: bool

    def __str__(self) -> str:
        who = f"{self.peer} ({self.client})" if self.client else self.peer
        return (
            f"{who} -> {self.target or '?'}: up {self.bytes_up} down {self.bytes_down} bytes, "
            f"{self.seconds:.3f} s, {self.ending}"
        )


def told(error: Exception) -> str:
    """Return an error as the log has it."""
    return f"{type(error).__name__}: {error}"
