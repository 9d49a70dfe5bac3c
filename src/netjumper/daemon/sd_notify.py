"""State and watchdog messages to the service manager: sd_notify(3)."""

import contextlib
import os
import socket
from collections.abc import Callable, MutableMapping
from typing import Protocol

NOTIFY_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""The variables of sd_notify(3); they are for this process only."""
NOTIFY_INTERVAL_S = 5.0
"""Seconds between two messages, at most."""
SEND_TIMEOUT_S = 1.0
"""Seconds to wait for the manager to have room for a message that it must not miss."""
EXTENSION = f"EXTEND_TIMEOUT_USEC={round(4 * NOTIFY_INTERVAL_S * 1e6)}"
"""Sent with each message while the service stops, so that the manager waits for the next one."""


class Timer(Protocol):
    """What `Timers.call_later` returns."""

    def cancel(self) -> None:
        """Cancel the call."""


class Timers(Protocol):
    """What a notifier uses of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer:
        """Call `callback` after that many seconds."""


class Notifier:
    """Sends messages to the service manager from the event loop; does nothing without a manager.

    A loop that hangs sends nothing, which the manager's watchdog notices.

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
        path, interval, pid = (environ.pop(variable, "") for variable in NOTIFY_VARIABLES)
        self._sock = _socket() if path[:1] in ("/", "@") and len(path) > 1 else None
        # A name in the abstract namespace begins with a NUL, which no variable can hold.
        self._path = "\0" + path[1:] if path[:1] == "@" else path
        self._lifetime = _seconds(interval) if pid in ("", str(os.getpid())) else None
        self._interval = NOTIFY_INTERVAL_S
        if self._lifetime:
            self._interval = min(NOTIFY_INTERVAL_S, self._lifetime / 2)
        self._timer: Timer | None = None
        self._stopping = False
        self._reported = ""

    def ready(self) -> None:
        """Report that the service is ready."""
        self._send("READY=1", timeout=SEND_TIMEOUT_S)
        self._report_state()

    def stopping(self) -> None:
        """Report that the service stops, and from then on that this takes longer."""
        self._stopping = True
        self._send("STOPPING=1", timeout=SEND_TIMEOUT_S)
        self._report_state()

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _report_state(self) -> None:
        if self._sock is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        lines = []
        if (state := self._describe()) != self._reported:
            self._reported = state
            lines.append(f"STATUS={state}")
        if self._lifetime:
            lines.append("WATCHDOG=1")
        if self._stopping:
            lines.append(EXTENSION)
        if lines:
            self._send(*lines)
        self._timer = self._loop.call_later(self._interval, self._report_state)

    def _send(self, *lines: str, timeout: float = 0.0) -> None:
        if self._sock is None:
            return
        # A manager that is gone, or has no room, is no reason to stop serving.
        with contextlib.suppress(OSError):
            self._sock.settimeout(timeout)
            self._sock.sendto("\n".join(lines).encode("utf-8", "replace"), self._path)


def _socket() -> socket.socket | None:
    """Return a socket; it is kept, so that a process without free descriptors can still report."""
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except (AttributeError, OSError):
        return None


def _seconds(microseconds: str) -> float | None:
    """Return a time from the environment in seconds; None if it is not a number."""
    if not (microseconds.isascii() and microseconds.isdigit()):
        return None
    return int(microseconds[:18]) / 1e6 or None
