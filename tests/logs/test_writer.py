"""The thread that writes the log: order, whole lines, and readers that stop or go away."""

import itertools
import os
import re
import select
import threading
import time

from netjumper.logs import writer as writer_module
from netjumper.logs.writer import ATOMIC_WRITE_SIZE, MAX_QUEUED_BYTES, LogWriter, write_all
from tests.support.programs import TIMEOUT_S

LINE = b"x" * 99 + b"\n"


def loss_line(count):
    return b"lost %d\n" % count


def test_all_lines_are_written_in_order(pipe):
    writer = LogWriter(pipe.writer, loss_line)
    for number in range(500):
        writer.write(b"%d\n" % number)
    writer.close(TIMEOUT_S)
    got = os.read(pipe.reader, 65536)
    assert got == b"".join(b"%d\n" % number for number in range(500))


def test_lines_within_the_batch_time_are_written_together(pipe, monkeypatch):
    monkeypatch.setattr(writer_module, "BATCH_TIME_S", 3600.0)
    writer = LogWriter(pipe.writer, loss_line)
    writer.write(b"first\n")
    assert os.read(pipe.reader, 100) == b"first\n"
    writer.write(b"second\n")
    writer.write(b"third\n")
    assert select.select([pipe.reader], [], [], 0)[0] == []
    writer.close(TIMEOUT_S)
    assert os.read(pipe.reader, 100) == b"second\nthird\n"


def test_lines_of_several_processes_are_not_torn(pipe):
    """A pipe takes a limited number of bytes in one piece."""
    writes = []

    def read_all():
        while data := os.read(pipe.reader, 1 << 20):
            writes.append(data)

    reader = threading.Thread(target=read_all)
    reader.start()
    children = []
    for letter in b"ab":
        pid = os.fork()
        if not pid:
            writer = LogWriter(pipe.writer, loss_line)
            for size in itertools.islice(itertools.cycle((10, 700, 90, 2000)), 2000):
                writer.write(bytes([letter]) * size + b"\n")
                if size == 10:
                    time.sleep(0)
            writer.close(TIMEOUT_S)
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


def test_full_pipe_blocks_no_caller_and_the_loss_is_reported_in_place(pipe):
    pipe.fill()
    writer = LogWriter(pipe.writer, loss_line)
    fits = MAX_QUEUED_BYTES // len(LINE)
    began = time.monotonic()
    for _ in range(fits + 999):
        writer.write(LINE)
    writer.write(b"\n")  # it would fit, but not in its place
    assert time.monotonic() - began < TIMEOUT_S
    got = pipe.read_until(b"lost")
    while not (found := re.search(rb"lost (\d+)\n", got)):
        got = pipe.read_until(b"\n")
    assert got.count(LINE) == fits
    assert int(found[1]) == 1000
    writer.write(b"after\n")
    got = pipe.read_until(b"after\n")
    assert got.endswith(LINE + b"lost 1000\nafter\n")
    writer.close(TIMEOUT_S)


def test_close_waits_for_the_reader_up_to_the_timeout(pipe):
    pipe.fill()
    writer = LogWriter(pipe.writer, loss_line)
    writer.write(LINE)
    began = time.monotonic()
    writer.close(0.1)
    assert 0.1 <= time.monotonic() - began < TIMEOUT_S
    pipe.read_until(LINE)  # lets the thread end


def test_thread_ends_after_the_pipe_is_closed(pipe):
    pipe.close_reader()
    writer = LogWriter(pipe.writer, loss_line)
    writer.write(LINE)
    writer.write(LINE)
    writer.close(TIMEOUT_S)
    assert not writer._thread.is_alive()


def test_writer_waits_for_a_full_non_blocking_pipe(pipe, monkeypatch):
    waiting = threading.Event()

    class Select:
        @staticmethod
        def select(*arguments):
            waiting.set()
            return select.select(*arguments)

    monkeypatch.setattr(writer_module, "select", Select)
    pipe.fill()
    os.set_blocking(pipe.writer, False)
    thread = threading.Thread(target=write_all, args=(pipe.writer, LINE))
    thread.start()
    assert waiting.wait(TIMEOUT_S)
    pipe.read_until(LINE)
    thread.join()
