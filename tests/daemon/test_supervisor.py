"""Several processes at one address: who serves, who is replaced, and how all of them end."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netjumper.cli import bridge, server
from netjumper.daemon.sighup import Terminal
from netjumper.daemon.supervisor import Parent
from netjumper.daemon.worker_sockets import WorkerSockets
from netjumper.net.socket_options import SocketOptions
from tests.support import programs
from tests.support.programs import PATIENCE, SECRET, installed, running
from tests.support.systemd import Manager, activated

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

ENV = {"NETJUMPER_SECRET": SECRET}
SERVER = ["netjumper", "--workers", "2"]
HERE = [*SERVER, "--listen", "127.0.0.1:0"]
BRIDGE = ["netjumper-bridge", "--workers", "2", "--jump", "127.0.0.1:1", "--max-parked", "0"]


def eventually(condition):
    """Return what holds as soon as it does."""
    end = time.monotonic() + PATIENCE
    while not (held := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return held


def workers_of(program):
    """Return the process ids of the workers there are."""
    pid = program.process.pid
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def replaced(program, before):
    """Return the workers once there are two again, and not those before."""

    def two_others():
        now = workers_of(program)
        return now if len(now) == 2 and now != before else None

    return eventually(two_others)


def state_of(pid):
    """Return the letter that /proc has for what a process does; X once there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_over(pid):
    """Whether a process has ended, reaped or not."""
    return state_of(pid) in "ZX"


@contextlib.contextmanager
def stopped(pid):
    """Have a process do nothing meanwhile."""
    os.kill(int(pid), signal.SIGSTOP)
    try:
        eventually(lambda: state_of(pid) == "T")
        yield
    finally:
        os.kill(int(pid), signal.SIGCONT)


def sockets_of(pid):
    links = (os.readlink(it) for it in Path(f"/proc/{pid}/fd").iterdir())  # noqa: PTH115
    return sum(link.startswith("socket:") for link in links)


def hostport(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


@contextlib.contextmanager
def greeted(address, count):
    """Give connections that the jump server has greeted."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection(hostport(address), PATIENCE))
            assert sock.recv(1) == b"\x20"  # the challenge's length
        yield


@contextlib.contextmanager
def tunnel():
    """Give two workers of each command, and both ends of a tunnel through them."""
    with (
        running(*HERE, env=ENV) as home,
        running(
            "/usr/bin/setsid", installed("netjumper-bridge"), "--workers", "2",
            "--jump", home.address("netjumper"), "--socks", "127.0.0.1:0", env=ENV,
        ) as here,
        socket.create_server(("127.0.0.1", 0)) as target,
        socket.create_connection(hostport(here.address("SOCKS")), PATIENCE) as client,
    ):  # fmt: skip
        target.settimeout(PATIENCE)
        client.sendall(b"\4\1" + target.getsockname()[1].to_bytes(2) + b"\x7f\0\0\1\0")
        far, _ = target.accept()
        with far:
            far.settimeout(PATIENCE)
            assert client.recv(8, socket.MSG_WAITALL)[:2] == b"\0\x5a"
            yield here, client, far


# Serving.


def test_connections_to_one_port_of_the_systems_choice_are_spread_over_the_workers():
    with running(*HERE, env=ENV) as it:
        address = it.address("netjumper")
        workers = workers_of(it)
        before = {pid: sockets_of(pid) for pid in workers}
        with greeted(address, 40):
            came = [sockets_of(pid) - before[pid] for pid in workers]
        assert len(came) == 2
        assert min(came) > 0
        assert sum(came) == 40
        assert it.stop() == 0


@pytest.mark.parametrize("command", [HERE, [*BRIDGE, "--socks", "127.0.0.1:0"]])
def test_what_there_is_to_tell_at_the_start_is_told_once(command):
    with running(*command, env=ENV) as it:
        it.wait_for("try: ")
        assert len(workers_of(it)) == 2
        assert it.stop() == 0
    assert sum("listening for" in line for line in it.lines) == 1
    (told,) = [line for line in it.lines if "2 workers" in line]
    assert told.endswith("apply per process")


def test_both_families_can_be_listened_on_side_by_side():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = ["--listen", f"0.0.0.0:{port}", "--listen", f"[::]:{port}"]
    with running(*SERVER, *listen, env=ENV) as it:
        it.wait_for("listening for", 2)
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), PATIENCE) as sock:
                assert sock.recv(1) == b"\x20"
        assert it.stop() == 0


def test_a_unix_socket_is_shared_and_its_file_removed_at_the_end(tmp_path):
    path = tmp_path / "socket"
    with running(*SERVER, "--listen", f"unix:{path}", env=ENV) as it:
        it.wait_for("listening for netjumper on unix:")
        for pid in workers_of(it):
            with stopped(pid), socket.socket(socket.AF_UNIX) as sock:  # so the other one serves
                sock.settimeout(PATIENCE)
                sock.connect(str(path))
                assert sock.recv(1) == b"\x20"
        assert it.stop() == 0
    assert not path.exists()


def test_a_socket_of_the_service_managers_is_shared():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with activated(SERVER, listener, NETJUMPER_SECRET=SECRET) as it:
            it.wait_for("INFO the service manager opened the sockets", 1)
            it.wait_for("listening for")
            with greeted(f"127.0.0.1:{listener.getsockname()[1]}", 5):
                pass
            assert it.stop() == 0
        assert sum("service manager" in line for line in it.lines) == 1


# Ends that were not asked for.


def test_a_worker_that_is_killed_is_replaced_and_nobody_is_refused_meanwhile():
    with running(*HERE, env=ENV) as it:
        address = it.address("netjumper")
        for _ in range(2):
            before = workers_of(it)
            os.kill(int(min(before)), signal.SIGKILL)
            with greeted(address, 20):
                replaced(it, before)
        told = r"WARNING worker process \d+ was killed by signal 9; another takes its place"
        it.wait_for(told, 2)
        assert it.stop() == 0


def test_workers_whose_parent_is_killed_end_with_their_tunnels():
    with tunnel() as (it, client, far):
        workers = workers_of(it)
        it.process.kill()
        it.wait_for("WARNING the parent process is gone", 2)
        client.sendall(b"still")
        assert far.recv(5) == b"still"
        client.close()
        far.close()
        for pid in workers:
            eventually(lambda pid=pid: is_over(pid))


def test_workers_whose_parent_is_killed_can_be_told_to_end_at_once():
    with tunnel() as (it, client, _):
        workers = workers_of(it)
        it.process.kill()
        it.wait_for("a second signal ends at once")
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
            eventually(lambda pid=pid: is_over(pid))
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def parent_of(work, *, more=""):
    """Run a parent of one worker that does `work`; return its status and what it said."""
    code = f"""
import logging, os, signal, socket, sys
from netjumper.daemon import process, supervisor
from netjumper.daemon.worker_sockets import WorkerSockets
from netjumper.daemon.supervisor import READY, Parent
from netjumper.net.socket_options import SocketOptions
logging.basicConfig(format="%(message)s")
supervisor.FIRST_PAUSE = 0.01

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
        timeout=PATIENCE * 2,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def test_workers_that_cannot_begin_to_serve_are_not_tried_again():
    status, out, told = parent_of("raise process.CommandFailed('no luck', 3)")
    assert (status, out) == (1, [])
    first, second = told
    assert first == "name: no luck"
    assert re.fullmatch(r"name: worker process \d+ ended with status 3 before it served", second)


def test_a_process_that_cannot_be_had_is_told():
    more = "def fork(): raise OSError(11, 'Resource temporarily unavailable')\nos.fork = fork"
    status, out, told = parent_of("pass", more=more)
    assert (status, out) == (1, [])
    reason = "a worker process could not be started: Resource temporarily unavailable"
    assert told == [f"name: {reason} before it served"]


def test_a_link_to_a_process_that_cannot_be_had_is_told():
    more = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))"
    status, out, told = parent_of("pass", more=more)  # 3 are open, and the signals' are 2
    assert (status, out) == (1, [])
    reason = "a worker process could not be started: Too many open files"
    assert told == [f"name: {reason} before it served"]


def test_one_that_ends_at_once_is_replaced_after_pauses_that_double():
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
parent._entrance.pause = lambda number: print("others only", number)
parent._entrance.resume = lambda number: print("open", number)
"""
    status, out, told = parent_of(work, more=more)
    again = ["others only 0", "open 0"]
    assert (status, out) == (0, ["open 0", "all serve", "open 0", *again * 3, "stop"])
    pauses = [line.rpartition("takes its place")[2] for line in told]
    assert pauses == ["", " in 0.01 s", " in 0.02 s", " in 0.04 s"]


# Settings that are taken anew.


def test_one_that_is_only_starting_is_told_of_settings_that_are_taken_anew():
    work = """
    os.kill(os.getppid(), signal.SIGHUP)  # nothing here listens to signals yet
    link.settimeout(20)
    print(link.recv(1))
    link.send(READY)
    os.kill(os.getppid(), signal.SIGTERM)
    link.recv(1)
"""
    status, out, told = parent_of(work, more="parent._reload_settings = lambda: True")
    assert (status, told) == (0, [])
    assert "b'2'" in out


def test_a_signal_to_all_is_the_parents_alone():
    work = """
    os.kill(os.getpid(), signal.SIGHUP)
    link.send(READY)
    os.kill(os.getppid(), signal.SIGTERM)
    link.recv(1)
"""
    status, out, told = parent_of(work)
    assert (status, out[-1], told) == (0, "stop", [])


def test_the_end_does_not_wait_for_settings_that_are_being_read():
    work = "link.send(READY); os.kill(os.getppid(), signal.SIGHUP); link.recv(1)"
    more = """
def slow():
    print("begun")
    os.kill(os.getpid(), signal.SIGTERM)
    print("ended")
    return True
parent._reload_settings = slow
"""
    status, out, told = parent_of(work, more=more)
    assert (status, told) == (0, [])
    assert "begun" in out
    assert "ended" not in out
    assert out[-1] == "stop"


@pytest.fixture
def parent():
    """Return a parent that has nobody to look after, and counts how often it renews."""
    reloads = []
    entrance = WorkerSockets([], [], SocketOptions())
    made = Parent("name", 1, entrance, lambda *_: None, 0.0, lambda: bool(reloads.append(1)))
    made.reloads = reloads
    return made


@pytest.mark.parametrize(
    "numbers", [(signal.SIGHUP, signal.SIGTERM), (signal.SIGTERM, signal.SIGHUP)]
)
def test_who_is_to_end_takes_nothing_anew(numbers, parent):
    stopped = []
    hear(parent, stopped, *numbers)
    hear(parent, stopped, signal.SIGHUP)
    assert (stopped, parent.reloads) == ([1], [])


def test_an_end_that_was_asked_for_just_now_is_found_in_time(parent):
    parent._on_signal(signal.SIGHUP, None)
    parent._on_signal(signal.SIGTERM, None)
    parent._reload()
    assert parent.reloads == []


def test_signals_that_came_together_are_one(parent):
    hear(parent, [], signal.SIGHUP, signal.SIGHUP)
    assert parent.reloads == [1]


def test_a_terminals_end_that_is_told_twice_is_asked_for_once(parent, monkeypatch):
    monkeypatch.setattr(Terminal, "is_gone", True)
    stopped, killed = [], []
    monkeypatch.setattr(parent, "_stop", lambda: (killed.append(1), setattr(parent, "stopping", 1)))
    hear(parent, stopped, signal.SIGHUP, signal.SIGHUP)
    hear(parent, stopped, signal.SIGHUP)
    assert (stopped, killed, parent.reloads) == ([1], [1], [])


def hear(parent, stopped, *numbers):
    told, wakeup = socket.socketpair()
    with told, wakeup:
        wakeup.send(bytes(numbers))
        parent._signalled(told, lambda: stopped.append(1))


# Ends that were asked for, of those that do not hear it.


def test_one_that_does_not_end_is_killed():
    work = "link.send(READY); os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
    status, out, told = parent_of(work, more="supervisor.PATIENCE = 0.05")
    assert (status, out[-1], told) == (0, "stop", [])  # it may be told so before all is ready


def test_the_parent_lets_nobody_in_any_more_before_the_workers_are_told():
    work = """
    link.send(READY)
    os.kill(os.getppid(), signal.SIGTERM)
    theirs.recv(1)
    link.setblocking(False)
    try: theirs.send(link.recv(1, socket.MSG_PEEK))
    except BlockingIOError: theirs.send(b"nothing")
    link.setblocking(True)
    link.recv(1)
"""
    more = """
ours, theirs = socket.socketpair()
def close():
    ours.send(b"?")
    print("told", ours.recv(16))
    parent._entrance.close = lambda: None
parent._entrance.close = close
"""
    status, out, _ = parent_of(work, more=more)
    assert (status, out[-2:]) == (0, ["told b'nothing'", "stop"])


def test_a_mistake_of_ours_in_a_worker_is_not_silent():
    status, _, told = parent_of("raise RuntimeError('ours')")
    assert status == 1
    assert "RuntimeError: ours" in told


# Ends that were.


def test_the_first_signal_lets_a_tunnel_end_and_no_new_one_begin():
    with tunnel() as (it, client, far):
        it.process.terminate()
        it.wait_for("stopping: waiting up to 10 s for 1 tunnel; a second signal ends at once")
        it.wait_for("stopping: ", 2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(hostport(it.address("SOCKS")), PATIENCE)
        client.sendall(b"still")
        assert far.recv(5) == b"still"
        client.close()
        far.close()
        assert it.process.wait(PATIENCE) == 0


def test_a_second_signal_ends_at_once():
    with tunnel() as (it, client, _):
        it.process.terminate()
        it.wait_for("stopping: waiting up to 10 s for 1 tunnel")
        it.process.terminate()
        assert it.process.wait(PATIENCE) == 0
        it.wait_for("WARNING cut off 1 tunnel")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_counts_once(number):
    with tunnel() as (it, client, far):
        os.killpg(it.process.pid, number)
        it.wait_for("stopping: ", 2)
        far.sendall(b"still")
        assert client.recv(5) == b"still"
        client.close()
        far.close()
        assert it.process.wait(PATIENCE) == 0
    assert not [line for line in it.lines if "cut off" in line or "place" in line]


# What the service manager hears.


def test_the_manager_hears_from_the_parent_alone(tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    env = {**ENV, **manager.environ, "WATCHDOG_USEC": "200000"}
    with manager.sock, running(*HERE, env=env) as it:
        assert manager.hears() == ["READY=1"]
        assert len(workers_of(it)) == 2
        address = re.escape(it.address("netjumper"))
        manager.hears_until(f"STATUS=2 workers; listening for netjumper on {address}")
        assert manager.hears_until("WATCHDOG=1")
        assert it.stop() == 0
        told = [line for message in manager.rest() for line in message]
    assert "STOPPING=1" in told
    assert "READY=1" not in told
    assert "STATUS=stopping: waiting for 2 workers" in told


# What is refused.


def refused(capsys, main, *arguments):
    assert main(arguments) == 2
    return capsys.readouterr().err


def test_a_port_that_is_taken_is_told_by_nobody_but_the_parent():
    with running(*HERE, env=ENV) as it:
        address = it.address("netjumper")
        done = programs.run([installed(SERVER[0]), *SERVER[1:], "--listen", address], ENV)
    assert done.returncode == 1
    (told,) = done.stderr.decode().splitlines()
    assert told.startswith(f"netjumper: --listen: cannot listen on {address}: another program")


def test_a_part_of_a_socket_that_cannot_be_had_is_told_with_its_setting():
    command = f"ulimit -n 20; exec {installed(SERVER[0])} --workers 30 --listen 127.0.0.1:0"
    done = programs.run(["/bin/sh", "-c", command], ENV)
    assert done.returncode == 1
    told = rb"netjumper: --listen: cannot listen on 127\.0\.0\.1:\d+: Too many open files\n"
    assert re.search(told, done.stderr)
    assert done.stderr.count(b"\n") == 2  # and the warning of so few descriptors


def test_what_goes_with_no_workers_is_told(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    told = refused(capsys, bridge.main, "--embedded", "--workers", "2", "--check")
    assert "--workers: embedded allows only 1 worker; remove one of the two settings" in told
    told = refused(capsys, server.main, "--workers", "0", "--check")
    assert "--workers: expected a whole number from 1 to 1024, not 0" in told
    monkeypatch.delattr("os.fork")
    told = refused(capsys, server.main, "--workers", "2", "--check")
    assert "--workers: this system supports only 1 worker" in told


def test_a_program_of_its_own_has_a_bridge_without_workers():
    env = {"NETJUMPER_WORKERS": "2"}
    command = [installed("netjumper-bridge"), "exec", "--embedded", "--", "true"]
    assert programs.run(command, env).returncode == 0
