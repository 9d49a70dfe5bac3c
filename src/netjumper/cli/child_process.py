"""The program that `exec` runs: its signals, its terminal, its exit status."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence

from netjumper.daemon import process
from netjumper.daemon.descriptors import descriptor_limit, raise_descriptor_limit
from netjumper.text import quoted

NOT_EXECUTABLE = 126
NOT_FOUND = 127
KILLED_BY = 128
"""Added to a signal's number."""
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
FROM_TERMINAL = frozenset({"SIGINT", "SIGQUIT"})
"""What Ctrl-C and Ctrl-\\ send to all of a terminal's foreground process group."""


class _Program:
    """A program that has our streams and our process group; signals are its own from here on.

    Args:
        loop: the running loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.hurry = asyncio.Event()
        """A signal came when the program had ended."""
        self._loop = loop
        self._ended: asyncio.Future[int] = loop.create_future()
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[signal.Signals] = []
        self._limit = raise_descriptor_limit()
        for number in SIGNALS:
            # What is ignored (nohup) stays so, in the program too.
            if signal.getsignal(number) is not signal.SIG_IGN:
                with contextlib.suppress(NotImplementedError):  # Windows
                    loop.add_signal_handler(number, self._told, number)

    async def run(self, command: Sequence[str], env: Mapping[str, str]) -> int:
        """Run the program to its end and return its exit code as a shell tells it.

        Raises:
            CommandFailed: it cannot be started.
        """
        try:
            self._start(command, env)
        except (OSError, ValueError) as error:
            raise _cannot_run(command[0], error) from None
        code = await self._ended
        return code if code >= 0 else KILLED_BY - code

    def _start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        # Not asyncio's: uvloop's tells less of why a program cannot be started. Descriptors that
        # were left open for the program (`3<file`, `<(list)`) are its own; ours are not inherited.
        with descriptor_limit(self._limit):
            # S603: the command is what the user has asked to be run.
            self._process = subprocess.Popen(command, env=env, close_fds=False)  # noqa: S603
        threading.Thread(target=self._wait, args=(self._process,), daemon=True).start()
        for number in self._early:
            self._process.send_signal(number)

    def _told(self, number: signal.Signals) -> None:
        if self._process is None:
            self._early.append(number)
        elif self._ended.done():
            self.hurry.set()
        elif number.name not in FROM_TERMINAL or not _in_foreground():
            self._process.send_signal(number)

    def _wait(self, started: "subprocess.Popen[bytes]") -> None:
        code = started.wait()
        self._loop.call_soon_threadsafe(self._ended.set_result, code)


def _in_foreground() -> bool:
    """Whether a terminal's Ctrl-C goes to our process group, so that the program has had it."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _cannot_run(name: str, error: OSError | ValueError) -> process.CommandFailed:
    if isinstance(error, FileNotFoundError):
        return process.CommandFailed(f"{quoted(name)}: there is no such program", NOT_FOUND)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return process.CommandFailed(f"{quoted(name)} cannot be run: {reason}", NOT_EXECUTABLE)
