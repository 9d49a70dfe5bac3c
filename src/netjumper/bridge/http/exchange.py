"""One forwarded request and its answer: its state, and the data for its log line."""

from dataclasses import dataclass
from enum import Enum

import h11

from netjumper.access_log import describe
from netjumper.addressing.address import Address
from netjumper.bridge.http.messages import has_body
from netjumper.bridge.replay_safety import SAFE_METHODS
from netjumper.text import shortened

MAX_UNPROVED_S = 0.5
"""Seconds after an answer in which a kept connection takes unsafe requests; servers wait longer."""
MAX_METHOD_CHARACTERS = 80
"""Characters of a request's method in the log."""


class ConnectionEnd(Enum):
    """What happens to the client's connection after everything for it was sent."""

    CLOSE = "closed"
    RESET = "the target's answer was cut"
    SWITCHED = "switched to another protocol"
    TUNNEL = "a CONNECT follows"


@dataclass(slots=True)
class Exchange:
    """One request and its answer."""

    request: h11.Request | None
    """None if the bytes received were not a valid request."""
    client: str
    """The authenticated user name; empty without authentication."""
    target: Address | None
    """None if the request was rejected before its target was known."""
    began: float
    """Seconds of a monotonic clock."""
    reused: bool = False
    """The request was sent on a kept connection, which the target may have been closing."""
    all_sent: bool = False
    """The whole request was sent to the target."""
    answer: h11.Response | None = None
    """The target's answer, once its head was received."""
    status: int = 0
    """The status of the answer, once its head was received; 0 before that."""
    error: Exception | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    """Bytes of the bodies, without heads."""

    @property
    def is_replay_safe(self) -> bool:
        """Whether the request can be sent a second time without harm."""
        request = self.request
        return request is not None and request.method in SAFE_METHODS and not has_body(request)

    @property
    def ending(self) -> str:
        """How the exchange ended, for the log: `GET 200`, `GET: TargetRefused: ...`."""
        method = self.request.method.decode("ascii", "replace") if self.request else ""
        method = shortened(method, MAX_METHOD_CHARACTERS)
        start = " ".join(filter(None, (method, str(self.status or ""))))
        return ": ".join(filter(None, (start, describe(self.error) if self.error else "")))
