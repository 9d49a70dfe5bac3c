"""What belongs to any process: its event loop, its descriptors, its streams, its exit code."""

import asyncio
import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from netjumper.cli import INTERRUPTED
from netjumper.errors import NetjumperError
from netjumper.logs.formatters import PRIORITY, is_journal
from netjumper.logs.handler import PATIENCE, has_room
from netjumper.settings.common import SettingsError
from netjumper.text import printable

OK = 0
FAILED = 1
USAGE = 2
FEW_DESCRIPTORS = 4096
"""Linux gives as many where nobody has set another limit."""


class OutputLost(NetjumperError):
    """What was asked for could not be written."""


class CommandFailed(NetjumperError):
    """What was asked for failed, and an exit code of its own says so.

    Args:
        message: one line for people.
        code: the exit code.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


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


def raise_descriptor_limit() -> int | None:
    """Allow as many open descriptors as the system lets us have; a tunnel takes two.

    Returns:
        The limit that there was; None where there is no such limit.
    """
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return int(soft)


def most_descriptors() -> int | None:
    """Return how many can be open once the limit is raised; None where there is no such limit."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = soft if hard == resource.RLIM_INFINITY else hard
    return None if limit == resource.RLIM_INFINITY else int(limit)


def few_descriptors(each: int) -> str:
    """Return a warning where only few descriptors can be open at a time, else nothing.

    Args:
        each: how many a tunnel takes.
    """
    limit = most_descriptors()
    if limit is None or limit >= FEW_DESCRIPTORS:
        return ""
    return (
        f"only {limit:,} descriptors can be open at a time, enough for {limit // each:,} tunnels "
        "at most; raise the limit (LimitNOFILE= in systemd, --ulimit nofile= for a container, "
        "otherwise ulimit -Hn)"
    )


@contextlib.contextmanager
def descriptor_limit(limit: int | None) -> Iterator[None]:
    """Have what is started meanwhile get another limit than ours; None leaves it."""
    if limit is None:
        yield
        return
    resource = importlib.import_module("resource")
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, ours[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, ours)


def say(line: str) -> None:
    """Write a line to standard output.

    Raises:
        OutputLost: it did not get there.
    """
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError as error:
        raise OutputLost(f"cannot write to standard output: {error.strerror}") from None
    except UnicodeEncodeError as error:
        raise OutputLost(
            f"cannot write to standard output: it is {error.encoding}; set PYTHONIOENCODING=utf-8"
        ) from None


def can_say(text: str) -> bool:
    """Whether standard output's encoding has all characters of a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _complain(name: str, *lines: str) -> None:
    if not has_room(sys.stderr, PATIENCE):  # or this process would never end
        return
    with contextlib.suppress(OSError):
        priority = PRIORITY[logging.ERROR] if is_journal(sys.stderr) else ""
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
