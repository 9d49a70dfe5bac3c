"""Standard output: a command prints all of its output, or fails."""

import sys

from netjumper.daemon.process import OutputClosed
from netjumper.errors import NetjumperError


class OutputError(NetjumperError):
    """Output could not be written."""


def print_line(line: str) -> None:
    """Write a line to standard output.

    Raises:
        OutputClosed: the reader of standard output has closed it.
        OutputError: it could not be written for another reason.
    """
    _write(f"{line}\n")


def show_progress(text: str) -> None:
    """Write a text to standard output if it is a terminal; the next line overwrites it.

    Args:
        text: shorter than that line; spaces, as many as were written before, erase it.

    Raises:
        OutputClosed, OutputError: see `print_line`.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        _write(f"{text}\r")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosed from None
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {error.strerror}") from None
    except UnicodeEncodeError as error:
        raise OutputError(
            f"cannot write to standard output: its encoding is {error.encoding}; "
            "set PYTHONIOENCODING=utf-8"
        ) from None


def can_print(text: str) -> bool:
    """Whether the encoding of standard output has all characters of a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
