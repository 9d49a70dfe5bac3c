"""What belongs to any process: its event loop, its descriptors, its streams, its exit code."""

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

INTERRUPTED = 130
"""The exit code that shells expect of a program that Ctrl-C ended."""


OK = 0
FAILED = 1
USAGE = 2


class CommandFailed(NetjumperError):
    """What was asked for failed, and an exit code of its own says so.

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
    """Run a command and return its exit code; what goes wrong becomes a line, not a traceback.

    Args:
        name: stands before each line.
        command: does it, and returns the exit code.
    """
    _have_standard_streams()
    code = OK
    try:
        code = command()
    except SystemExit as end:  # --help and --version
        code = end.code if isinstance(end.code, int) else OK
    except SettingsError as error:
        _complain(name, *error.lines)
        code = USAGE
    except CommandFailed as error:
        _complain(name, str(error))
        code = error.code
    except OutputClosed:
        code = FAILED
    except NetjumperError as error:
        _complain(name, str(error))
        code = FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
    return code if _flushed() else code or FAILED


def run_loop(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run `main` on the fastest loop there is, and return what it returns."""
    runner = asyncio.Runner(loop_factory=loop_factory())
    try:
        runner.get_loop()
    except OSError as error:
        main.close()
        raise NetjumperError(f"cannot start: {error.strerror}") from None
    with runner:
        return runner.run(main)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop: uvloop where it is installed, else the selector loop.

    Windows' default loop cannot watch sockets, so it is named even there.
    """
    try:
        factory: Callable[[], asyncio.AbstractEventLoop]
        factory = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return asyncio.SelectorEventLoop
    return factory


def _complain(name: str, *lines: str) -> None:
    if not is_writable(sys.stderr, FLUSH_TIMEOUT_S):  # or this process would never end
        return
    with contextlib.suppress(OSError):
        priority = JOURNAL_PRIORITY[logging.ERROR] if is_journal(sys.stderr) else ""
        for line in lines:
            sys.stderr.write(f"{priority}{name}: {printable(line)}\n")
        sys.stderr.flush()


def _have_standard_streams() -> None:
    """Fill descriptors 0 to 2 where whoever started us closed them.

    A socket would get such a number, and whatever a library prints would go to its peer. Standard
    output cannot be written to even so: what was asked for would be lost without a word.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            mode = os.O_RDONLY if number == 1 else os.O_RDWR
            os.open(os.devnull, mode)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _flushed() -> bool:
    """Write out what is left; if Python did it at the end, it would make its own noise."""
    complete = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            complete = complete and stream is sys.stderr
            # What could not be written stays in the stream's buffer: let it go somewhere.
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, stream.fileno())
            os.close(sink)
    return complete
