"""Why a relay ended."""

from enum import Enum


class RelayEnd(Enum):
    """How a relay ended."""

    CLOSED = "closed"
    CLIENT_RESET = "reset by the client"
    TARGET_RESET = "reset from the target's side"
    IDLE = "idle timeout"
    SHUTDOWN = "shut down"
