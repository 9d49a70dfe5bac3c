"""Telling the service manager how a service is, and that it lives: sd_notify(3)."""

import contextlib
import os
import socket
from collections.abc import Callable, MutableMapping
from typing import Protocol

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""The environment's words for the one process that they are meant for."""
TICK = 5.0
"""Seconds between looks at what there is to tell, at most."""
PATIENCE = 1.0
"""Seconds that the manager may take to have room for a word that it must not miss."""
EXTENSION = f"EXTEND_TIMEOUT_USEC={round(4 * TICK * 1e6)}"
"""Told with every look while the service stops: the next one comes in time."""


class Timer(Protocol):
    """What `Timers.call_later` returns."""

    def cancel(self) -> None:
        """Call nothing."""


class Timers(Protocol):
    """What a notifier needs of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer:
        """Call `callback` after that many seconds."""


class Notifier:
    """Speaks to the service manager from the event loop; without one it does nothing.

    A loop that hangs says nothing either, and so the manager's watchdog notices.

    Args:
        loop: the running loop.
        environ: the process's environment; the manager's variables are removed from it.
        describe: returns the service's state, one line for people.
    """

    def __init__(
        self,
        loop: Timers,
        environ: MutableMapping[str, str],
        describe: Callable[[], str],
    ) -> None:
        self._loop = loop
        self._describe = describe
        path, interval, pid = (environ.pop(variable, "") for variable in VARIABLES)
        self._sock = _socket() if path[:1] in ("/", "@") and len(path) > 1 else None
        # A name in the abstract namespace begins with a NUL, which no variable can hold.
        self._path = "\0" + path[1:] if path[:1] == "@" else path
        self._lifetime = _seconds(interval) if pid in ("", str(os.getpid())) else None
        self._tick = min(TICK, self._lifetime / 2) if self._lifetime else TICK
        self._timer: Timer | None = None
        self._stopping = False
        self._told = ""

    def ready(self) -> None:
        """It serves."""
        self._tell("READY=1", patience=PATIENCE)
        self._look()

    def stopping(self) -> None:
        """It has begun to stop, and says now and then that this takes longer."""
        self._stopping = True
        self._tell("STOPPING=1", patience=PATIENCE)
        self._look()

    def close(self) -> None:
        """Say no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _look(self) -> None:
        if self._sock is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        words = []
        if (state := self._describe()) != self._told:
            self._told = state
            words.append(f"STATUS={state}")
        if self._lifetime:
            words.append("WATCHDOG=1")
        if self._stopping:
            words.append(EXTENSION)
        if words:
            self._tell(*words)
        self._timer = self._loop.call_later(self._tick, self._look)

    def _tell(self, *words: str, patience: float = 0.0) -> None:
        if self._sock is None:
            return
        # A manager that is gone, or has no room, is no reason to stop serving.
        with contextlib.suppress(OSError):
            self._sock.settimeout(patience)
            self._sock.sendto("\n".join(words).encode("utf-8", "replace"), self._path)


def _socket() -> socket.socket | None:
    """Return a socket that is kept: a process without descriptors left has to say that it lives."""
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except (AttributeError, OSError):
        return None


def _seconds(microseconds: str) -> float | None:
    """Return a time of the environment in seconds, None where it is none."""
    if not (microseconds.isascii() and microseconds.isdigit()):
        return None
    return int(microseconds[:18]) / 1e6 or None
