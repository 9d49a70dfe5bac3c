"""The thread that writes the log: order, whole lines, and readers who stop reading or go away."""

import io
import itertools
import logging
import os
import re
import select
import threading
import time

import pytest

from netjumper.logs import handler
from netjumper.logs import writer as writer_module
from netjumper.logs.handler import NonBlockingHandler, nonblocking_logging, set_up_logging
from netjumper.logs.writer import ATOMIC_WRITE_SIZE, MAX_QUEUED_BYTES, LogWriter, write_all
from tests.support.programs import PATIENCE

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def log(pipe, untouched_logging):
    """Return a logger whose handler writes into the pipe."""
    with os.fdopen(os.dup(pipe.writer), "w") as stream:
        set_up_logging("info", "plain", stream)
        yield logging.getLogger("netjumper")


def lost(count):
    return b"lost %d\n" % count


def test_lines_keep_their_order_and_none_is_lost_at_the_end(pipe):
    writer = LogWriter(pipe.writer, lost)
    for number in range(500):
        writer.write(b"%d\n" % number)
    writer.close(PATIENCE)
    got = os.read(pipe.reader, 65536)
    assert got == b"".join(b"%d\n" % number for number in range(500))


def test_lines_that_come_soon_after_another_are_written_together(pipe, monkeypatch):
    monkeypatch.setattr(writer_module, "BATCH_TIME_S", 3600.0)
    writer = LogWriter(pipe.writer, lost)
    writer.write(b"first\n")
    assert os.read(pipe.reader, 100) == b"first\n"
    writer.write(b"second\n")
    writer.write(b"third\n")
    assert select.select([pipe.reader], [], [], 0)[0] == []
    writer.close(PATIENCE)
    assert os.read(pipe.reader, 100) == b"second\nthird\n"


def test_lines_of_several_processes_are_not_torn(pipe):
    """A pipe takes only so many bytes in one piece."""
    writes = []

    def look():
        while data := os.read(pipe.reader, 1 << 20):
            writes.append(data)

    reader = threading.Thread(target=look)
    reader.start()
    children = []
    for letter in b"ab":
        pid = os.fork()
        if not pid:
            writer = LogWriter(pipe.writer, lost)
            for size in itertools.islice(itertools.cycle((10, 700, 90, 2000)), 2000):
                writer.write(bytes([letter]) * size + b"\n")
                if size == 10:
                    time.sleep(0)
            writer.close(PATIENCE)
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    os.close(pipe.writer)
    pipe.writer = -1
    reader.join()
    lines = b"".join(writes).split(b"\n")
    assert lines.pop() == b""
    assert all(len(set(line)) == 1 for line in lines)
    assert ATOMIC_WRITE_SIZE <= select.PIPE_BUF


def test_with_a_full_pipe_nobody_waits_and_what_was_lost_is_told_in_its_place(pipe):
    pipe.fill()
    writer = LogWriter(pipe.writer, lost)
    fits = MAX_QUEUED_BYTES // len(LINE)
    began = time.monotonic()
    for _ in range(fits + 999):
        writer.write(LINE)
    writer.write(b"\n")  # for which there would be room, but not in its place
    assert time.monotonic() - began < PATIENCE
    got = pipe.read_until(b"lost")
    while not (found := re.search(rb"lost (\d+)\n", got)):
        got = pipe.read_until(b"\n")
    assert got.count(LINE) == fits
    assert int(found[1]) == 1000
    writer.write(b"after\n")
    got = pipe.read_until(b"after\n")
    assert got.endswith(LINE + b"lost 1000\nafter\n")
    writer.close(PATIENCE)


def test_the_end_waits_for_a_reader_only_for_so_long(pipe):
    pipe.fill()
    writer = LogWriter(pipe.writer, lost)
    writer.write(LINE)
    began = time.monotonic()
    writer.close(0.1)
    assert 0.1 <= time.monotonic() - began < PATIENCE
    pipe.read_until(LINE)  # so that the thread ends


def test_a_reader_that_is_gone_is_passed_over(pipe):
    pipe.close_reader()
    writer = LogWriter(pipe.writer, lost)
    writer.write(LINE)
    writer.write(LINE)
    writer.close(PATIENCE)
    assert not writer._thread.is_alive()


def test_a_pipe_that_somebody_made_non_blocking_is_waited_for(pipe, monkeypatch):
    waits = threading.Event()

    class Select:
        @staticmethod
        def select(*arguments):
            waits.set()
            return select.select(*arguments)

    monkeypatch.setattr(writer_module, "select", Select)
    pipe.fill()
    os.set_blocking(pipe.writer, False)
    thread = threading.Thread(target=write_all, args=(pipe.writer, LINE))
    thread.start()
    assert waits.wait(PATIENCE)
    pipe.read_until(LINE)
    thread.join()


# --- the handler ---------------------------------------------------------------------------


def test_what_a_service_logs_is_written_by_a_thread_until_its_end(pipe, log):
    with nonblocking_logging():
        log.info("one")
        log.info("two %s", "\u2028")
    assert not [it for it in threading.enumerate() if it.name == "log"]
    log.info("three")
    got = pipe.read_until(b"three\n").decode()
    assert re.findall(r"INFO (.*)", got) == ["one", r"two \u2028", "three"]


def test_what_was_left_out_of_a_flood_is_told_at_the_end(pipe, log):
    with nonblocking_logging():
        for _ in range(30):
            log.warning("again")
    assert b"left out 10 lines like: again\n" in pipe.read_until(b"left out 10 lines like: again\n")


def test_a_service_with_a_full_pipe_ends_in_time(pipe, log, monkeypatch):
    monkeypatch.setattr(handler, "FLUSH_TIMEOUT_S", 0.1)
    pipe.fill()
    with nonblocking_logging():
        log.info("one")
    log.info("two")  # there is no room for it, and nobody waits either
    pipe.read_until(b"one\n")
    log.info("three")
    assert b"WARNING the log was not read in time: 1 line lost here\n" in pipe.read_until(b"three")
    assert b"two" not in pipe.got


def test_who_must_not_have_a_thread_does_not_wait_either(pipe, log):
    pipe.fill()
    before = set(threading.enumerate())
    with nonblocking_logging(thread=False):
        assert set(threading.enumerate()) <= before
        for _ in range(3):
            log.info("lost")
        os.read(pipe.reader, 65536)
        log.info("told")
    got = pipe.read_until(b"told\n")
    assert b"WARNING the log was not read in time: 3 lines lost here\n" in got
    assert b"INFO lost" not in got


def test_a_bug_in_a_message_is_told_as_always(pipe, capsys):
    wrong = logging.LogRecord("netjumper", logging.INFO, __file__, 1, "%d", ("no number",), None)
    with os.fdopen(os.dup(pipe.writer), "w") as stream:
        handler = NonBlockingHandler(stream)
        with handler.writer_thread():
            handler.handle(wrong)
    assert "Logging error" in capsys.readouterr().err


def test_a_stream_that_is_no_file_is_written_to_as_it_is(untouched_logging):
    stream = io.StringIO()
    set_up_logging("info", "plain", stream)
    with nonblocking_logging():
        logging.getLogger("netjumper").info("text")
        assert stream.getvalue().endswith("text\n")
