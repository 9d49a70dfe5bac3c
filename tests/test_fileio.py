"""Reading files: files that never end, and pipes without data."""

import os
import sys
import threading

import pytest

from netjumper import fileio
from netjumper.fileio import MAX_FILE_BYTES, read_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="opens pipes by /dev/fd")


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.fixture
def pipe():
    """Return both ends of a pipe, as files; the first is not read."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as read, os.fdopen(writer, "wb", 0) as write:
        yield read, write


def by_name(file):
    return f"/dev/fd/{file.fileno()}"


def test_a_file_is_read_with_its_mode(tmp_path):
    (tmp_path / "file").write_bytes(b"text\n")
    (tmp_path / "file").chmod(0o640)
    content, status = read_file(tmp_path / "file")
    assert (content, status.st_mode) == (b"text\n", 0o100640)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full"])
def test_endless_file_is_not_read_for_ever(path):
    with pytest.raises(OSError, match=f"it is over {MAX_FILE_BYTES} bytes"):
        read_file(path)


def test_as_much_as_there_may_be_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"." * MAX_FILE_BYTES)
    assert read_file(tmp_path / "file")[0] == b"." * MAX_FILE_BYTES


def test_directory_is_not_a_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)


def test_pipe_without_a_writer_is_reported_at_once(fifo):
    with pytest.raises(OSError, match="no program writes into this pipe"):
        read_file(fifo)


def test_pipe_of_an_ended_writer_is_read(pipe):
    pipe[1].write(b"secret")
    pipe[1].close()
    assert read_file(by_name(pipe[0]))[0] == b"secret"
    with pytest.raises(OSError, match="no program writes into this pipe"):
        read_file(by_name(pipe[0]))


def test_slow_writer_of_a_pipe_is_waited_for(pipe, monkeypatch):
    waits = threading.Event()
    wait = fileio._wait_for_more

    def seen(fd):
        waits.set()
        wait(fd)

    def write():
        for piece in (b"sec", b"ret"):
            waits.wait()
            waits.clear()
            pipe[1].write(piece)
        waits.wait()
        pipe[1].close()

    monkeypatch.setattr(fileio, "_wait_for_more", seen)
    writing = threading.Thread(target=write)
    writing.start()
    assert read_file(by_name(pipe[0]))[0] == b"secret"
    writing.join()


def test_silent_writer_of_a_pipe_is_not_waited_for_for_ever(pipe, monkeypatch):
    monkeypatch.setattr(fileio, "PIPE_TIMEOUT_S", 0.01)
    pipe[1].write(b"begun")
    with pytest.raises(TimeoutError, match=r"no data came out of this pipe for 0\.01 s"):
        read_file(by_name(pipe[0]))
