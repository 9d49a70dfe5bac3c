"""Processor time and memory of processes and their children, from /proc."""

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
    """Run `code` in Python; it prints `done`, and exits at the end of its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint('done', flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield process


def test_spaces_and_brackets_in_a_command_do_not_shift_fields() -> None:
    text = "42 (a) b (c) S 7 42 42 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 0"
    assert Stat.parse(text) == Stat(parent=7, ticks=100)


def test_family_has_a_process_and_its_descendants() -> None:
    stats = {number: Stat(parent, 0) for number, parent in [(1, 0), (2, 1), (3, 2), (4, 1), (5, 4)]}
    assert family(stats, [2, 99]) == {2, 3}
    assert family(stats, [1]) == {1, 2, 3, 4, 5}


def test_time_of_an_exited_child_counts() -> None:
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}], check=True)"
    with python(code) as process:
        assert process.stdout.readline() == "done\n"
        assert processor_seconds([process.pid]) >= 0.25
        process.stdin.close()


def test_time_of_a_running_child_counts() -> None:
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


def test_used_memory_counts() -> None:
    size = 50 << 20
    with python("") as small, python(f"it = bytearray(b'x') * {size}") as large:
        assert [it.stdout.readline() for it in (small, large)] == ["done\n"] * 2
        assert memory_of(large.pid) - memory_of(small.pid) == pytest.approx(size, rel=0.1)
        small.stdin.close()
        large.stdin.close()


def test_exited_process_has_no_costs() -> None:
    with python("") as process:
        process.stdin.close()
    assert processor_seconds([process.pid]) == 0
    assert memory_of(process.pid) == 0
    assert not listens(process.pid, 1)


def test_only_listening_sockets_count_as_listeners() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert not listens(os.getpid(), port)
        sock.listen()
        assert listens(os.getpid(), port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert not listens(os.getpid(), client.getsockname()[1])
