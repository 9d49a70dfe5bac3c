"""SIGHUP: reload the settings, or stop because the terminal was closed.

Both send the same signal. After a terminal was closed, standard input is no terminal any more. If
it never was one (a service manager, `</dev/null &`, nohup), the signal means a reload.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator

_LOG = logging.getLogger("netjumper")


class Terminal:
    """The terminal that this process was started on, if there is one."""

    def __init__(self) -> None:
        # nohup starts a process with SIGHUP ignored: it must survive its terminal.
        survives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._was_there = os.isatty(0) and not survives

    @property
    def is_gone(self) -> bool:
        """Whether it was closed; then the process must stop."""
        return self._was_there and not os.isatty(0)


def ignore_user_signals() -> None:
    """Ignore SIGUSR1 and SIGUSR2, which other daemons use for reports and reloads.

    Their default action would end the process, and with it every tunnel.
    """
    for name in ("SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):  # not on Windows
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def nothing_to_reload() -> bool:
    """Log that this service cannot reload its settings; return whether it did."""
    _LOG.info("SIGHUP ignored: the bridge cannot reload its settings; restart it")
    return False


@contextlib.contextmanager
def unblocked() -> Iterator[None]:
    """Let the signal arrive within this context; before and after, it is blocked."""
    unblock_sighup()
    try:
        yield
    finally:
        block_sighup()


@contextlib.contextmanager
def handle_sighup(reload: Callable[[], object], stop: Callable[[], None]) -> Iterator[None]:
    """Handle the signal in the running loop, also one that came before.

    Args:
        reload: reloads the settings.
        stop: stops the service. It may be called twice: when a terminal is closed, the shell sends
            the signal before the kernel does.
    """
    if not hasattr(signal, "SIGHUP"):  # Windows
        yield
        return
    loop, terminal = asyncio.get_running_loop(), Terminal()
    loop.add_signal_handler(signal.SIGHUP, lambda: stop() if terminal.is_gone else reload())
    with unblocked():
        try:
            yield
        finally:
            # Other threads can still receive it, and its default action ends the process.
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)


def block_sighup() -> None:
    """Keep a SIGHUP pending until it can be handled; its default action ends the process."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows, which has no SIGHUP either
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def unblock_sighup() -> None:
    """Let SIGHUP arrive again, also one that is pending."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
