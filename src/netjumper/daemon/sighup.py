"""SIGHUP: the settings are to be taken anew, or the terminal that we run on has been closed.

Both are the same signal; but a terminal that is closed is none any more. Where standard input is
not one (a service manager's, a shell's `</dev/null &`, nohup's) nothing but `kill` is meant.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator

_LOG = logging.getLogger("netjumper")


class Terminal:
    """The terminal that this process was started on, where there is one."""

    def __init__(self) -> None:
        # Who has SIGHUP ignored from the start (nohup) wants to outlive it.
        outlived = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._was_there = os.isatty(0) and not outlived

    @property
    def is_gone(self) -> bool:
        """Whether it was closed; what was started on it should end with it then, in order."""
        return self._was_there and not os.isatty(0)


def nothing_to_reload() -> bool:
    """Tell that a bridge does not take its settings anew; return whether it did."""
    _LOG.info("SIGHUP: a bridge takes no settings anew; they take a restart")
    return False


@contextlib.contextmanager
def unblocked() -> Iterator[None]:
    """Have the signal, which is held back at the start and at the end, come meanwhile."""
    unblock_sighup()
    try:
        yield
    finally:
        block_sighup()


@contextlib.contextmanager
def handle_sighup(reload: Callable[[], object], stop: Callable[[], None]) -> Iterator[None]:
    """Obey the signal meanwhile, in the running loop, one that came before included.

    Args:
        renew: takes the settings anew.
        stop: has the service end in order. It is called again where the signal comes again, as it
            does: a shell passes it on before the kernel sends it.
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
            # Threads that are left would still let it come, and the loop would leave it deadly.
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)


def block_sighup() -> None:
    """Have a SIGHUP wait until somebody knows what to do with it; otherwise it ends the process."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows, which has no SIGHUP either
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def unblock_sighup() -> None:
    """Have a SIGHUP come, and the one that was held back."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
