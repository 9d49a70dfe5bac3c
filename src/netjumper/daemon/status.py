"""The state of a service in one line, for the service manager."""

from collections.abc import Callable, Sequence

from netjumper.addressing.listeners import LISTENERS
from netjumper.text import printable

Listening = Sequence[tuple[str, str]]
"""For each listening socket, the name of its listener and its address."""


class StatusLine:
    """Describes the state of a service each time that it is called.

    Args:
        listening: the listening sockets.
        in_use: returns what a stop waits for, as a number with its noun: `2 tunnels`.
        is_stopping: returns whether the service stops.
    """

    def __init__(
        self,
        listening: Listening,
        in_use: Callable[[], str],
        is_stopping: Callable[[], bool],
    ) -> None:
        listeners = (
            f"{LISTENERS[name].label} on {printable(address)}" for name, address in listening
        )
        self._listening = f"listening for {', '.join(listeners)}"
        self._in_use = in_use
        self._is_stopping = is_stopping

    def __call__(self) -> str:
        """Return the state, one line."""
        if self._is_stopping():
            return f"stopping: waiting for {self._in_use()}"
        return f"{self._in_use()}; {self._listening}"
