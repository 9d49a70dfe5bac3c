"""Why a relay ended."""

from enum import Enum


class RelayEnd(Enum):
    """Why a relay ended; the value is the text in the access log."""

    CLOSED = "closed"
    CLIENT_RESET = "reset by the client"
    TARGET_RESET = "reset from the target's side"
    IDLE = "idle timeout"
    SHUTDOWN = "shut down"
