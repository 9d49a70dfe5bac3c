"""What processes cost, read from /proc: of those that live, and of children that ended."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.accounting import Stat, family, listens, memory_of, processor_seconds

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


@contextmanager
def python(code: str) -> Iterator[subprocess.Popen[str]]:
    """A Python that runs `code`, says so by a line, and ends when its standard input does."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint('done', flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield process


def test_a_command_with_spaces_and_brackets_does_not_shift_the_fields() -> None:
    text = "42 (a) b (c) S 7 42 42 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 0"
    assert Stat.parse(text) == Stat(parent=7, ticks=100)


def test_a_family_is_a_process_and_all_below_it() -> None:
    stats = {number: Stat(parent, 0) for number, parent in [(1, 0), (2, 1), (3, 2), (4, 1), (5, 4)]}
    assert family(stats, [2, 99]) == {2, 3}
    assert family(stats, [1]) == {1, 2, 3, 4, 5}


def test_the_time_of_a_child_that_ended_counts() -> None:
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}], check=True)"
    with python(code) as process:
        assert process.stdout.readline() == "done\n"
        assert processor_seconds([process.pid]) >= 0.25
        process.stdin.close()


def test_the_time_of_a_child_that_lives_counts() -> None:
    child = f"{BURN}\nprint('burnt', flush=True)\ninput()"
    code = (
        "import subprocess, sys\n"
        f"it = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "it.stdout.readline()"
    )
    with python(code) as process:
        assert process.stdout.readline() == "done\n"
        assert processor_seconds([process.pid]) >= 0.25
        process.stdin.close()


def test_memory_that_is_used_counts() -> None:
    size = 50 << 20
    with python("") as small, python(f"it = bytearray(b'x') * {size}") as large:
        assert [it.stdout.readline() for it in (small, large)] == ["done\n"] * 2
        assert memory_of(large.pid) - memory_of(small.pid) == pytest.approx(size, rel=0.1)
        small.stdin.close()
        large.stdin.close()


def test_a_process_that_is_gone_costs_nothing() -> None:
    with python("") as process:
        process.stdin.close()
    assert processor_seconds([process.pid]) == 0
    assert memory_of(process.pid) == 0
    assert not listens(process.pid, 1)


def test_listening_process_is_told_from_others() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert not listens(os.getpid(), port)
        sock.listen()
        assert listens(os.getpid(), port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert not listens(os.getpid(), client.getsockname()[1])
