"""What any command needs of its process: event loop, standard streams, exit code."""

import asyncio
import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from netjumper.errors import NetjumperError, SettingsError
from netjumper.logs.formatters import JOURNAL_PRIORITY, is_journal
from netjumper.logs.handler import FLUSH_TIMEOUT_S, is_writable
from netjumper.text import printable

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130
"""The exit code that shells expect of a program that Ctrl-C ended."""


class CommandFailed(NetjumperError):
    """The command failed, and has an exit code of its own for that.

    Args:
        message: one line for people.
        code: the exit code.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class OutputClosed(NetjumperError):
    """The reader of standard output has closed it, as `| head` does; no message is due."""


ResultT = TypeVar("ResultT")


def run(name: str, command: Callable[[], int]) -> int:
    """Run a command and return its exit code; an error becomes one line on standard error.

    Args:
        name: the command's name, printed before each line.
        command: returns the exit code.
    """
    _open_standard_streams()
    code = OK
    try:
        code = command()
    except SystemExit as end:  # --help and --version
        code = end.code if isinstance(end.code, int) else OK
    except SettingsError as error:
        _report(name, *error.lines)
        code = USAGE
    except CommandFailed as error:
        _report(name, str(error))
        code = error.code
    except OutputClosed:
        code = FAILED
    except NetjumperError as error:
        _report(name, str(error))
        code = FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
    return code if _flushed() else code or FAILED


def run_loop(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run `main` on the fastest loop that is installed, and return its result."""
    runner = asyncio.Runner(loop_factory=loop_factory())
    try:
        runner.get_loop()
    except OSError as error:
        main.close()
        raise NetjumperError(f"cannot start: {error.strerror}") from None
    with runner:
        return runner.run(main)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop: uvloop if it is installed, else the selector loop.

    The selector loop is named because the default loop of Windows cannot watch sockets.
    """
    try:
        factory: Callable[[], asyncio.AbstractEventLoop]
        factory = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return asyncio.SelectorEventLoop
    return factory


def _report(name: str, *lines: str) -> None:
    if not is_writable(sys.stderr, FLUSH_TIMEOUT_S):
        return  # a write would block for ever
    with contextlib.suppress(OSError):
        priority = JOURNAL_PRIORITY[logging.ERROR] if is_journal(sys.stderr) else ""
        for line in lines:
            sys.stderr.write(f"{priority}{name}: {printable(line)}\n")
        sys.stderr.flush()


def _open_standard_streams() -> None:
    """Open descriptors 0 to 2 if they are closed.

    Otherwise a socket gets such a number, and what a library prints goes to its peer. Standard
    output is opened for reading, so that a command whose output would be lost fails.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            mode = os.O_RDONLY if number == 1 else os.O_RDWR
            os.open(os.devnull, mode)  # gets the lowest free number, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _flushed() -> bool:
    """Flush the streams and return whether standard output is complete.

    Python would print a message of its own if it failed to flush them at its end.
    """
    complete = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            complete = complete and stream is sys.stderr
            # Python flushes the buffer again at its end: let that succeed.
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, stream.fileno())
            os.close(sink)
    return complete
