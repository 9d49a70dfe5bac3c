"""The supervisor of workers: restarts, reloads and stops, with scripted workers."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from netjumper.daemon.sighup import Terminal
from netjumper.daemon.supervisor import Parent
from netjumper.daemon.worker_sockets import WorkerSockets
from netjumper.net.socket_options import SocketOptions
from tests.support.programs import TIMEOUT_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses fork and Linux signals")


def run_parent(work, *, more=""):
    """Run a parent of one worker that does `work`; return its status, output and errors."""
    code = f"""
import logging, os, signal, socket, sys
from netjumper.daemon import process, supervisor
from netjumper.daemon.worker_sockets import WorkerSockets
from netjumper.daemon.supervisor import READY, Parent
from netjumper.net.socket_options import SocketOptions
logging.basicConfig(format="%(message)s")
supervisor.FIRST_RESTART_PAUSE_S = 0.01

def work(sockets, link):
    {work}

parent = Parent("name", 1, WorkerSockets([], [], SocketOptions()), work, grace=0.0)
{more}
sys.exit(process.run("name", lambda: parent.run(lambda: print("all serve"), lambda: print("stop"))))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONUNBUFFERED": ""},  # output is buffered, as it usually is
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S * 2,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@pytest.fixture
def parent():
    """Return a parent without workers that counts its reloads."""
    reloads = []
    sockets = WorkerSockets([], [], SocketOptions())
    made = Parent("name", 1, sockets, lambda *_: None, 0.0, lambda: bool(reloads.append(1)))
    made.reloads = reloads
    return made


def deliver(parent, stopped, *numbers):
    """Let the parent handle these signals as if they had come together."""
    receiver, wakeup = socket.socketpair()
    with receiver, wakeup:
        wakeup.send(bytes(numbers))
        parent._handle_signals(receiver, lambda: stopped.append(1))


def test_worker_that_cannot_begin_to_serve_ends_the_service():
    status, out, errors = run_parent("raise process.CommandFailed('no luck', 3)")
    assert (status, out) == (1, [])
    first, second = errors
    assert first == "name: no luck"
    assert re.fullmatch(r"name: worker \d+ exited with status 3 before it served", second)


def test_failed_fork_is_reported():
    more = "def fork(): raise OSError(11, 'Resource temporarily unavailable')\nos.fork = fork"
    status, out, errors = run_parent("pass", more=more)
    assert (status, out) == (1, [])
    reason = "cannot start a worker: Resource temporarily unavailable"
    assert errors == [f"name: {reason} before it served"]


def test_missing_descriptors_for_a_link_are_reported():
    more = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))"
    status, out, errors = run_parent("pass", more=more)  # 3 are open, and the signals take 2
    assert (status, out) == (1, [])
    reason = "cannot start a worker: Too many open files"
    assert errors == [f"name: {reason} before it served"]


def test_worker_that_ends_at_once_is_replaced_after_doubling_pauses():
    work = """
    link.send(READY)
    if not ends(): os.kill(os.getppid(), signal.SIGTERM); link.recv(1)
"""
    more = """
read, write = os.pipe()
os.write(write, b"1234"); os.set_blocking(read, False)
def ends():
    try: return os.read(read, 1)
    except BlockingIOError: return b""
parent._sockets.pause = lambda number: print("others only", number)
parent._sockets.resume = lambda number: print("open", number)
"""
    status, out, errors = run_parent(work, more=more)
    again = ["others only 0", "open 0"]
    assert (status, out) == (0, ["open 0", "all serve", "open 0", *again * 3, "stop"])
    pauses = [line.rpartition("restarting ")[2] for line in errors]
    assert pauses == ["now", "in 0.01 s", "in 0.02 s", "in 0.04 s"]


def test_worker_that_is_starting_receives_a_reload():
    work = """
    os.kill(os.getppid(), signal.SIGHUP)  # the worker does not read its link yet
    link.settimeout(20)
    print(link.recv(1))
    link.send(READY)
    os.kill(os.getppid(), signal.SIGTERM)
    link.recv(1)
"""
    status, out, errors = run_parent(work, more="parent._reload_settings = lambda: True")
    assert (status, errors) == (0, [])
    assert "b'2'" in out


def test_workers_ignore_signals_to_the_group():
    work = """
    os.kill(os.getpid(), signal.SIGHUP)
    link.send(READY)
    os.kill(os.getppid(), signal.SIGTERM)
    link.recv(1)
"""
    status, out, errors = run_parent(work)
    assert (status, out[-1], errors) == (0, "stop", [])


def test_stop_signal_interrupts_a_reload():
    work = "link.send(READY); os.kill(os.getppid(), signal.SIGHUP); link.recv(1)"
    more = """
def slow():
    print("begun")
    os.kill(os.getpid(), signal.SIGTERM)
    print("ended")
    return True
parent._reload_settings = slow
"""
    status, out, errors = run_parent(work, more=more)
    assert (status, errors) == (0, [])
    assert "begun" in out
    assert "ended" not in out
    assert out[-1] == "stop"


@pytest.mark.parametrize(
    "numbers", [(signal.SIGHUP, signal.SIGTERM), (signal.SIGTERM, signal.SIGHUP)]
)
def test_stopping_parent_does_not_reload(numbers, parent):
    stopped = []
    deliver(parent, stopped, *numbers)
    deliver(parent, stopped, signal.SIGHUP)
    assert (stopped, parent.reloads) == ([1], [])


def test_stop_signal_before_a_reload_prevents_it(parent):
    parent._on_signal(signal.SIGHUP, None)
    parent._on_signal(signal.SIGTERM, None)
    parent._reload()
    assert parent.reloads == []


def test_repeated_reload_signals_are_merged(parent):
    deliver(parent, [], signal.SIGHUP, signal.SIGHUP)
    assert parent.reloads == [1]


def test_repeated_hangup_of_a_terminal_stops_once(parent, monkeypatch):
    monkeypatch.setattr(Terminal, "is_gone", True)
    stopped, killed = [], []
    monkeypatch.setattr(parent, "_stop", lambda: (killed.append(1), setattr(parent, "stopping", 1)))
    deliver(parent, stopped, signal.SIGHUP, signal.SIGHUP)
    deliver(parent, stopped, signal.SIGHUP)
    assert (stopped, killed, parent.reloads) == ([1], [1], [])


def test_worker_that_does_not_end_is_killed():
    work = "link.send(READY); os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
    status, out, errors = run_parent(work, more="supervisor.KILL_DELAY_S = 0.05")
    assert (status, out[-1], errors) == (0, "stop", [])  # the signal can come before "all serve"


def test_parent_closes_its_sockets_before_workers_stop():
    work = """
    link.send(READY)
    os.kill(os.getppid(), signal.SIGTERM)
    worker_end.recv(1)
    link.setblocking(False)
    try: worker_end.send(link.recv(1, socket.MSG_PEEK))
    except BlockingIOError: worker_end.send(b"nothing")
    link.setblocking(True)
    link.recv(1)
"""
    more = """
parent_end, worker_end = socket.socketpair()
def close():
    parent_end.send(b"?")
    print("link has", parent_end.recv(16))
    parent._sockets.close = lambda: None
parent._sockets.close = close
"""
    status, out, _ = run_parent(work, more=more)
    assert (status, out[-2:]) == (0, ["link has b'nothing'", "stop"])


def test_bug_in_a_worker_prints_a_traceback():
    status, _, errors = run_parent("raise RuntimeError('bug')")
    assert status == 1
    assert "RuntimeError: bug" in errors
