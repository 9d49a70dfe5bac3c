"""The access log: one record for each tunnel, and each forwarded request, that has ended."""

import logging
from dataclasses import dataclass

ACCESS_LOG = logging.getLogger("netjumper.access")
NEVER_SUPPRESSED = {"never_suppressed": True}
"""Passed as `extra` with a record: the rate limit of the log never suppresses it."""


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """What is logged about a tunnel, in one line, when it has ended.

    Attributes:
        peer: the address of the client's socket, `ADDRESS:PORT` or `unix`.
        client: the name that the client has proved; empty if no name was asked for.
        target: the tunnel's target; empty if the client has not named one.
        bytes_up: from the client to the target.
        bytes_down: from the target to the client.
        seconds: from the first byte of the request to the end of the tunnel.
        ending: how the tunnel ended.
        failed: whether the record is logged as a warning.
        kind: the type of the failure, or the system's reason, and never text of a peer; empty if
            it did not fail.
    """

    peer: str
    client: str
    target: str
    bytes_up: int
    bytes_down: int
    seconds: float
    ending: str
    failed: bool
    kind: str

    def __str__(self) -> str:
        source = f"{self.peer} ({self.client})" if self.client else self.peer
        return (
            f"{source} -> {self.target or '?'}: up {self.bytes_up} down {self.bytes_down} bytes, "
            f"{self.seconds:.3f} s, {self.ending}"
        )


def describe(error: Exception) -> str:
    """Return the type and the text of an error, and what only the log says about it."""
    detail = getattr(error, "detail", "")
    return f"{type(error).__name__}: {error}" + (f" ({detail})" if detail else "")
