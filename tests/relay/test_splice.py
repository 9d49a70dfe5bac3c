"""What the relays of a loop share: a buffer and kernel pipes."""

import fcntl
import os
import resource
from collections.abc import Iterator

import pytest

from netjumper.relay import splice
from netjumper.relay.splice import MAX_FREE_PIPES, PIPE_SIZE, Pipe, RelayMemory
from tests.support.peers import open_descriptors

pytestmark = pytest.mark.skipif(not splice.CAN_SPLICE, reason="only Linux splices")


@pytest.fixture
def memory() -> Iterator[RelayMemory]:
    memory = RelayMemory()
    yield memory
    memory.close()


def test_a_returned_pipe_is_used_again(memory):
    pipe = memory.acquire_pipe()
    memory.return_pipe(pipe)
    assert memory.acquire_pipe() is pipe
    memory.return_pipe(pipe)


def test_a_pipe_holds_a_mebibyte_and_never_blocks(memory):
    pipe = memory.acquire_pipe()
    assert fcntl.fcntl(pipe.write_fd, fcntl.F_GETPIPE_SZ) == PIPE_SIZE
    assert not os.get_blocking(pipe.write_fd)
    assert not os.get_blocking(pipe.read_fd)
    assert not os.get_inheritable(pipe.read_fd)
    memory.return_pipe(pipe)


def test_the_number_of_idle_pipes_is_limited(memory):
    before = open_descriptors()["pipe"]
    taken = [memory.acquire_pipe() for _ in range(MAX_FREE_PIPES + 5)]
    for pipe in taken:
        memory.return_pipe(pipe)
    assert open_descriptors()["pipe"] == before + 2 * MAX_FREE_PIPES
    memory.close()
    assert open_descriptors()["pipe"] == before


def test_without_a_free_descriptor_there_is_no_pipe_and_no_error(memory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        assert memory.acquire_pipe() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_small_pipe_is_used_if_the_kernel_refuses_a_large_one(monkeypatch):
    monkeypatch.setattr(splice, "PIPE_SIZE", 1 << 40)  # the kernel refuses that to everybody
    pipe = Pipe()
    try:
        assert 0 < fcntl.fcntl(pipe.write_fd, fcntl.F_GETPIPE_SZ) < PIPE_SIZE
    finally:
        pipe.close()


def test_splicing_can_be_switched_off():
    assert RelayMemory().splice
    assert not RelayMemory(splice=False).splice
