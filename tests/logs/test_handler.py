"""The log handler: its setup, its format, and its behaviour with a slow or absent reader."""

import io
import logging
import os
import re
import threading

import pytest

from netjumper.logs import handler
from netjumper.logs.formatters import JsonFormatter, PlainFormatter
from netjumper.logs.handler import NonBlockingHandler, nonblocking_logging, set_up_logging
from netjumper.logs.terminal import RichFormatter


def record(message):
    return logging.LogRecord("netjumper", logging.INFO, __file__, 1, message, None, None)


@pytest.fixture
def log(pipe, untouched_logging):
    """Return a logger that writes into the pipe."""
    with os.fdopen(os.dup(pipe.writer), "w") as stream:
        set_up_logging("info", "plain", stream)
        yield logging.getLogger("netjumper")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("style", "stream", "formatter"),
    [
        ("auto", io.StringIO(), PlainFormatter),
        ("auto", Terminal(), RichFormatter),
        ("plain", Terminal(), PlainFormatter),
        ("json", Terminal(), JsonFormatter),
        ("rich", io.StringIO(), RichFormatter),
    ],
)
def test_formatter_is_the_requested_one_or_fits_the_stream(
    style, stream, formatter, untouched_logging
):
    rich = set_up_logging("info", style, stream)
    (made,) = logging.getLogger().handlers
    assert type(made.formatter) is formatter
    assert rich is (made.formatter if formatter is RichFormatter else None)


def test_records_below_the_level_are_not_logged(untouched_logging):
    stream = io.StringIO()
    set_up_logging("warning", "plain", stream)
    logging.getLogger("netjumper").info("quiet")
    logging.getLogger("netjumper.access").warning("loud")
    assert stream.getvalue().endswith("WARNING loud\n")
    assert "quiet" not in stream.getvalue()


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_broken_stream_is_ignored(capsys):
    NonBlockingHandler(Gone()).handle(record("text"))
    assert capsys.readouterr().err == ""


def test_malformed_message_is_reported(capsys):
    made = record("%d")
    made.args = ("no number",)
    NonBlockingHandler(io.StringIO()).handle(made)
    assert "Logging error" in capsys.readouterr().err


def test_thread_writes_the_log_until_the_block_ends(pipe, log):
    with nonblocking_logging():
        log.info("one")
        log.info("two %s", "\u2028")
    assert not [it for it in threading.enumerate() if it.name == "log"]
    log.info("three")
    got = pipe.read_until(b"three\n").decode()
    assert re.findall(r"INFO (.*)", got) == ["one", r"two \u2028", "three"]


def test_suppressed_lines_are_reported_at_the_end(pipe, log):
    with nonblocking_logging():
        for _ in range(30):
            log.warning("again")
    assert pipe.read_until(b"suppressed 10 similar lines: again\n")


def test_full_pipe_delays_the_end_by_the_flush_timeout_at_most(pipe, log, monkeypatch):
    monkeypatch.setattr(handler, "FLUSH_TIMEOUT_S", 0.1)
    pipe.fill()
    with nonblocking_logging():
        log.info("one")
    log.info("two")  # does not fit, and is dropped without waiting
    pipe.read_until(b"one\n")
    log.info("three")
    assert b"WARNING log reader too slow: 1 line dropped\n" in pipe.read_until(b"three")
    assert b"two" not in pipe.data


def test_logging_without_a_thread_does_not_block(pipe, log):
    pipe.fill()
    before = set(threading.enumerate())
    with nonblocking_logging(thread=False):
        assert set(threading.enumerate()) <= before
        for _ in range(3):
            log.info("lost")
        os.read(pipe.reader, 65536)
        log.info("written")
    got = pipe.read_until(b"written\n")
    assert b"WARNING log reader too slow: 3 lines dropped\n" in got
    assert b"INFO lost" not in got


def test_malformed_message_is_reported_by_the_writer_thread_too(pipe, capsys):
    wrong = logging.LogRecord("netjumper", logging.INFO, __file__, 1, "%d", ("no number",), None)
    with os.fdopen(os.dup(pipe.writer), "w") as stream:
        writing = NonBlockingHandler(stream)
        with writing.writer_thread():
            writing.handle(wrong)
    assert "Logging error" in capsys.readouterr().err


def test_stream_without_a_descriptor_is_written_directly(untouched_logging):
    stream = io.StringIO()
    set_up_logging("info", "plain", stream)
    with nonblocking_logging():
        logging.getLogger("netjumper").info("text")
        assert stream.getvalue().endswith("text\n")
