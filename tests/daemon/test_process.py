"""What any command needs of its process: event loop, descriptor limit, streams, exit code."""

import asyncio
import errno
import io
import os
import resource
import sys

import pytest

from netjumper.cli.output import can_print, print_line
from netjumper.daemon import process
from netjumper.daemon.descriptors import descriptor_limit, raise_descriptor_limit
from netjumper.errors import NetjumperError, SettingsError


def raising(error):
    def command():
        raise error

    return command


def print_text():
    print_line("text")
    return process.OK


def test_uvloop_runs_if_installed():
    uvloop = pytest.importorskip("uvloop")
    assert process.loop_factory() is uvloop.new_event_loop


def test_selector_loop_runs_without_uvloop(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert process.loop_factory() is asyncio.SelectorEventLoop


def test_failure_to_create_a_loop_is_one_line(monkeypatch, capsys):
    def no_descriptors():
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(process, "loop_factory", lambda: no_descriptors)
    assert process.run("name", lambda: process.run_loop(asyncio.sleep(0, 0))) == 1
    assert capsys.readouterr().err == "name: cannot start: Too many open files\n"


def test_descriptor_limit_is_raised_to_the_hard_limit():
    soft, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
        assert raise_descriptor_limit() == min(soft, 200)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_platform_without_limits_is_ignored(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    limit = raise_descriptor_limit()
    with descriptor_limit(limit):
        assert limit is None


def test_error_message_to_a_full_pipe_is_dropped(pipe, monkeypatch):
    monkeypatch.setattr(process, "FLUSH_TIMEOUT_S", 0.05)
    pipe.fill()
    with os.fdopen(os.dup(pipe.writer), "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert process.run("name", raising(NetjumperError("no"))) == 1
        assert process.run("name", raising(NetjumperError("no"))) == 1


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (SettingsError("one", "two"), 2, "name: one\nname: two\n"),
        (NetjumperError("no\nway"), 1, "name: no\\nway\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(0), 0, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_error_is_a_line_and_an_exit_code(error, code, message, capsys):
    assert process.run("name", raising(error)) == code
    assert capsys.readouterr().err == message


def test_unexpected_exception_is_raised():
    with pytest.raises(ZeroDivisionError):
        process.run("name", raising(ZeroDivisionError()))


def test_failed_write_to_standard_output_is_an_error(monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

        def fileno(self):
            return devnull.fileno()

    with open("/dev/null", "w") as devnull:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", Full())
        assert process.run("name", print_text) == 1
        monkeypatch.undo()
    message = capsys.readouterr().err
    assert message == "name: cannot write to standard output: No space left on device\n"


def test_text_that_standard_output_cannot_encode_is_an_error(monkeypatch, capsys):
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        assert process.run("name", lambda: print_line("\u2588") or process.OK) == 1
        assert not can_print("\u2588")
        monkeypatch.undo()
    assert can_print("text")
    message = capsys.readouterr().err
    assert message.startswith(
        "name: cannot write to standard output: its encoding is ascii; set PYTHON"
    )
