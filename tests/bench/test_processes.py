"""Programs of a benchmark: started until they listen, and stopped with their children."""

import os
import select
import signal
import socket
import subprocess
import sys

import pytest

from bench.processes import LOOPBACK, BenchError, Processes, free_port, stop

LISTEN = "import socket, sys\nsock = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"


def test_started_program_listens(tmp_path) -> None:
    port = free_port()
    with Processes(tmp_path, "it") as processes:
        code = f"{LISTEN}sock.accept()[0].sendall(b'here')"
        processes.start(sys.executable, "-c", code, port, host=LOOPBACK, port=port)
        with socket.create_connection(("127.0.0.1", port)) as sock:
            assert sock.recv(9) == b"here"


def test_exited_program_is_reported_with_its_last_line(tmp_path) -> None:
    code = "import sys\nprint('well')\nprint('no, thanks')\nsys.exit(3)"
    with (
        Processes(tmp_path, "it") as processes,
        pytest.raises(BenchError, match=r"python.* exited with status 3: no, thanks"),
    ):
        processes.start(sys.executable, "-c", code, host=LOOPBACK, port=free_port())


def test_program_that_does_not_listen_is_reported(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("bench.processes.START_TIMEOUT_S", 0.1)
    code = "import signal\nsignal.pause()"
    with (
        Processes(tmp_path, "it") as processes,
        pytest.raises(BenchError, match=r"python.* does not listen"),
    ):
        processes.start(sys.executable, "-c", code, host=LOOPBACK, port=free_port())


def test_end_stops_programs_and_removes_their_folder(tmp_path) -> None:
    port = free_port()
    with Processes(tmp_path, "it") as processes:
        code = f"{LISTEN}import signal\nsignal.pause()"
        process = processes.start(sys.executable, "-c", code, port, host=LOOPBACK, port=port)
        assert processes.pids == [process.pid]
        assert processes.memory()[0] > 0
    assert process.returncode == -signal.SIGTERM
    assert not processes.folder.exists()


def test_single_program_can_be_stopped(tmp_path) -> None:
    port = free_port()
    with Processes(tmp_path, "it") as processes:
        code = f"{LISTEN}import signal\nsignal.pause()"
        process = processes.start(sys.executable, "-c", code, port, host=LOOPBACK, port=port)
        processes.end(process)
        assert processes.pids == []
        processes.start(sys.executable, "-c", code, port, host=LOOPBACK, port=port)


def test_program_that_ignores_the_signal_is_killed_with_its_children(monkeypatch) -> None:
    monkeypatch.setattr("bench.processes.START_TIMEOUT_S", 0.1)
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if not child: os.setsid()\n"
        "if child: print(child, flush=True)\n"
        "while True: signal.pause()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        child = os.pidfd_open(int(process.stdout.readline()))
        stop(process)
        assert process.returncode == -signal.SIGKILL
        assert select.select([child], [], [], 20)[0]  # it has exited
        os.close(child)
