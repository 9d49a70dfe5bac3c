"""The program that `exec` runs: its signals, its terminal and its exit code."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence

from netjumper.daemon import process
from netjumper.daemon.descriptors import descriptor_limit, raise_descriptor_limit
from netjumper.daemon.orphans import reap_orphans
from netjumper.text import quoted

NOT_EXECUTABLE = 126
NOT_FOUND = 127
KILLED_BY = 128
"""The exit code is this plus the number of the signal that ended the program."""
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
FROM_TERMINAL = frozenset({"SIGINT", "SIGQUIT"})
"""The signals that a terminal sends to its foreground process group (Ctrl-C, Ctrl-\\)."""


class ChildProcess:
    """A program with this process's streams and process group, which gets all signals.

    Args:
        loop: the running loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.interrupted = asyncio.Event()
        """Set by a signal that arrives after the program has ended."""
        self._loop = loop
        self._ended: asyncio.Future[int] = loop.create_future()
        self._process: subprocess.Popen[bytes] | None = None
        self._pending: list[signal.Signals] = []
        self._limit = raise_descriptor_limit()
        for number in SIGNALS:
            # An ignored signal (nohup) stays ignored, in the program too.
            if signal.getsignal(number) is not signal.SIG_IGN:
                with contextlib.suppress(NotImplementedError):  # Windows
                    loop.add_signal_handler(number, self._on_signal, number)

    async def run(self, command: Sequence[str], env: Mapping[str, str]) -> int:
        """Run the program to its end and return its exit code as a shell does.

        Args:
            command: the program and its arguments.
            env: all of its environment.

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
        # Not asyncio's: uvloop's reports less of why a program cannot be started. The program
        # inherits descriptors that were opened for it (`3<file`, `<(list)`). This process's own
        # are not inheritable.
        with descriptor_limit(self._limit):
            # S603: the user has asked for this command.
            self._process = subprocess.Popen(command, env=env, close_fds=False)  # noqa: S603
        pid = self._process.pid
        reap_orphans(self._loop, lambda: [pid])
        threading.Thread(target=self._wait, args=(self._process,), daemon=True).start()
        for number in self._pending:
            self._process.send_signal(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._process is None:
            self._pending.append(number)
        elif self._ended.done():
            self.interrupted.set()
        elif number.name not in FROM_TERMINAL or not _in_foreground():
            self._process.send_signal(number)

    def _wait(self, started: "subprocess.Popen[bytes]") -> None:
        code = started.wait()
        self._loop.call_soon_threadsafe(self._ended.set_result, code)


def _in_foreground() -> bool:
    """Whether a terminal sends Ctrl-C to this process group, so that the program has got it."""
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
        return process.CommandFailed(f"{quoted(name)}: no such program", NOT_FOUND)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return process.CommandFailed(f"{quoted(name)} cannot be run: {reason}", NOT_EXECUTABLE)
