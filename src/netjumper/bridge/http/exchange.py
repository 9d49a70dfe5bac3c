"""One forwarded request and its answer: what is to be known of it while it lasts, and logged."""

from dataclasses import dataclass
from enum import Enum

import h11

from netjumper.access_log import told
from netjumper.addressing.address import Address
from netjumper.bridge.http.messages import has_body
from netjumper.bridge.replay_safety import SAFE_METHODS


class ConnectionEnd(Enum):
    """What becomes of the client's connection once everything for it is sent."""

    CLOSE = "closed"
    RESET = "the target's answer was cut"
    SWITCHED = "switched to another protocol"
    TUNNEL = "a CONNECT came"


@dataclass(slots=True)
class Exchange:
    """One request and its answer."""

    request: h11.Request | None
    """None where what came was no request."""
    client: str
    target: Address | None
    """None where it was refused before that was known."""
    began: float
    reused: bool = False
    """It went out on a connection that had served another, which may have been dying."""
    all_sent: bool = False
    answer: h11.Response | None = None
    """The target's, once its head is there."""
    status: int = 0
    """The answer's, once its head is there."""
    error: Exception | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    """Of the bodies."""

    @property
    def is_replay_safe(self) -> bool:
        """Whether sending the request a second time harms nothing."""
        request = self.request
        return request is not None and request.method in SAFE_METHODS and not has_body(request)

    @property
    def ending(self) -> str:
        """How it ended, for the log: `GET 200`, `GET: TargetRefused: ...`."""
        method = self.request.method.decode("ascii", "replace") if self.request else ""
        said = " ".join(filter(None, (method, str(self.status or ""))))
        return ": ".join(filter(None, (said, told(self.error) if self.error else "")))
