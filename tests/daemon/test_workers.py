"""The installed commands with several workers."""

import contextlib
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from netjumper.cli import bridge, server
from tests.support import programs
from tests.support.programs import SECRET, TIMEOUT_S, installed, running
from tests.support.systemd import Manager, activated

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

ENV = {"NETJUMPER_SECRET": SECRET}
SERVER = ["netjumper", "--workers", "2"]
LISTENING = [*SERVER, "--listen", "127.0.0.1:0"]
BRIDGE = ["netjumper-bridge", "--workers", "2", "--jump", "127.0.0.1:1", "--max-parked", "0"]


def eventually(condition):
    """Wait until the condition is true, and return its value."""
    end = time.monotonic() + TIMEOUT_S
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return value


def workers_of(program):
    """Return the process ids of the workers."""
    pid = program.process.pid
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def replaced(program, before):
    """Wait until there are two workers again, others than before, and return them."""

    def two_others():
        now = workers_of(program)
        return now if len(now) == 2 and now != before else None

    return eventually(two_others)


def state_of(pid):
    """Return the letter of a process's state in /proc; X if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_over(pid):
    """Return whether a process has ended, reaped or not."""
    return state_of(pid) in "ZX"


@contextlib.contextmanager
def stopped(pid):
    """Stop a process within this context."""
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
def challenged(address, count):
    """Open connections that the jump server has sent a challenge."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection(hostport(address), TIMEOUT_S))
            assert sock.recv(1) == b"\x20"  # the challenge's length
        yield


@contextlib.contextmanager
def tunnel():
    """Yield a bridge and both ends of a tunnel; each command has two workers."""
    with (
        running(*LISTENING, env=ENV) as server_program,
        running(
            "/usr/bin/setsid", installed("netjumper-bridge"), "--workers", "2",
            "--jump", server_program.address("netjumper"), "--socks", "127.0.0.1:0", env=ENV,
        ) as bridge_program,
        socket.create_server(("127.0.0.1", 0)) as target,
        socket.create_connection(hostport(bridge_program.address("SOCKS")), TIMEOUT_S) as client,
    ):  # fmt: skip
        target.settimeout(TIMEOUT_S)
        client.sendall(b"\4\1" + target.getsockname()[1].to_bytes(2) + b"\x7f\0\0\1\0")
        far, _ = target.accept()
        with far:
            far.settimeout(TIMEOUT_S)
            assert client.recv(8, socket.MSG_WAITALL)[:2] == b"\0\x5a"
            yield bridge_program, client, far


def refused(capsys, main, *arguments):
    assert main(arguments) == 2
    return capsys.readouterr().err


def test_connections_to_an_ephemeral_port_are_spread():
    with running(*LISTENING, env=ENV) as it:
        address = it.address("netjumper")
        workers = workers_of(it)
        before = {pid: sockets_of(pid) for pid in workers}
        with challenged(address, 40):
            came = [sockets_of(pid) - before[pid] for pid in workers]
        assert len(came) == 2
        assert min(came) > 0
        assert sum(came) == 40
        assert it.stop() == 0


@pytest.mark.parametrize("command", [LISTENING, [*BRIDGE, "--socks", "127.0.0.1:0"]])
def test_start_messages_are_printed_once(command):
    with running(*command, env=ENV) as it:
        it.wait_for("try: ")
        assert len(workers_of(it)) == 2
        assert it.stop() == 0
    assert sum("listening for" in line for line in it.lines) == 1
    (output,) = [line for line in it.lines if "2 workers" in line]
    assert output.endswith("apply per process")


def test_workers_listen_on_both_families():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = ["--listen", f"0.0.0.0:{port}", "--listen", f"[::]:{port}"]
    with running(*SERVER, *listen, env=ENV) as it:
        it.wait_for("listening for", 2)
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), TIMEOUT_S) as sock:
                assert sock.recv(1) == b"\x20"
        assert it.stop() == 0


def test_unix_socket_is_shared_and_removed_at_the_end(tmp_path):
    path = tmp_path / "socket"
    with running(*SERVER, "--listen", f"unix:{path}", env=ENV) as it:
        it.wait_for("listening for netjumper on unix:")
        for pid in workers_of(it):
            with stopped(pid), socket.socket(socket.AF_UNIX) as sock:  # the other one serves
                sock.settimeout(TIMEOUT_S)
                sock.connect(str(path))
                assert sock.recv(1) == b"\x20"
        assert it.stop() == 0
    assert not path.exists()


def test_inherited_socket_is_shared():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with activated(SERVER, listener, NETJUMPER_SECRET=SECRET) as it:
            it.wait_for("INFO the service manager opened the sockets", 1)
            it.wait_for("listening for")
            with challenged(f"127.0.0.1:{listener.getsockname()[1]}", 5):
                pass
            assert it.stop() == 0
        assert sum("service manager" in line for line in it.lines) == 1


def test_killed_worker_is_replaced_and_no_connection_is_refused():
    with running(*LISTENING, env=ENV) as it:
        address = it.address("netjumper")
        for _ in range(2):
            before = workers_of(it)
            os.kill(int(min(before)), signal.SIGKILL)
            with challenged(address, 20):
                replaced(it, before)
        output = r"WARNING worker \d+ was killed by signal 9; restarting now"
        it.wait_for(output, 2)
        assert it.stop() == 0


def test_workers_of_a_killed_parent_end_after_their_tunnels():
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


def test_workers_of_a_killed_parent_obey_signals():
    with tunnel() as (it, client, _):
        workers = workers_of(it)
        it.process.kill()
        it.wait_for("a second signal aborts them")
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
            eventually(lambda pid=pid: is_over(pid))
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_first_signal_lets_tunnels_end_and_refuses_new_ones():
    with tunnel() as (it, client, far):
        it.process.terminate()
        it.wait_for("stopping: waiting up to 10 s for 1 tunnel; a second signal aborts them")
        it.wait_for("stopping: ", 2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(hostport(it.address("SOCKS")), TIMEOUT_S)
        client.sendall(b"still")
        assert far.recv(5) == b"still"
        client.close()
        far.close()
        assert it.process.wait(TIMEOUT_S) == 0


def test_second_signal_aborts_tunnels():
    with tunnel() as (it, client, _):
        it.process.terminate()
        it.wait_for("stopping: waiting up to 10 s for 1 tunnel")
        it.process.terminate()
        assert it.process.wait(TIMEOUT_S) == 0
        it.wait_for("WARNING aborted 1 tunnel")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_the_group_counts_once(number):
    with tunnel() as (it, client, far):
        os.killpg(it.process.pid, number)
        it.wait_for("stopping: ", 2)
        far.sendall(b"still")
        assert client.recv(5) == b"still"
        client.close()
        far.close()
        assert it.process.wait(TIMEOUT_S) == 0
    assert not [line for line in it.lines if "aborted" in line or "restarting" in line]


def test_only_the_parent_notifies_the_service_manager(tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    env = {**ENV, **manager.environ, "WATCHDOG_USEC": "200000"}
    with manager.sock, running(*LISTENING, env=env) as it:
        assert manager.receive() == ["READY=1"]
        assert len(workers_of(it)) == 2
        address = re.escape(it.address("netjumper"))
        manager.receive_until(f"STATUS=2 workers; listening for netjumper on {address}")
        assert manager.receive_until("WATCHDOG=1")
        assert it.stop() == 0
        output = [line for message in manager.receive_all() for line in message]
    assert "STOPPING=1" in output
    assert "READY=1" not in output
    assert "STATUS=stopping: waiting for 2 workers" in output


def test_port_in_use_is_reported_once():
    with running(*LISTENING, env=ENV) as it:
        address = it.address("netjumper")
        done = programs.run([installed(SERVER[0]), *SERVER[1:], "--listen", address], ENV)
    assert done.returncode == 1
    (output,) = done.stderr.decode().splitlines()
    assert output.startswith(f"netjumper: --listen: cannot listen on {address}: another program")


def test_missing_descriptors_for_sockets_name_the_setting():
    command = f"ulimit -n 20; exec {installed(SERVER[0])} --workers 30 --listen 127.0.0.1:0"
    done = programs.run(["/bin/sh", "-c", command], ENV)
    assert done.returncode == 1
    output = rb"netjumper: --listen: cannot listen on 127\.0\.0\.1:\d+: Too many open files\n"
    assert re.search(output, done.stderr)
    assert done.stderr.count(b"\n") == 2  # the other is the warning about the low limit


def test_settings_that_exclude_workers_are_refused(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    output = refused(capsys, bridge.main, "--embedded", "--workers", "2", "--check")
    assert "--workers: embedded allows only 1 worker; remove one of the two settings" in output
    output = refused(capsys, server.main, "--workers", "0", "--check")
    assert "--workers: expected a whole number from 1 to 1024, not 0" in output
    monkeypatch.delattr("os.fork")
    output = refused(capsys, server.main, "--workers", "2", "--check")
    assert "--workers: this system supports only 1 worker" in output


def test_exec_ignores_workers():
    env = {"NETJUMPER_WORKERS": "2"}
    command = [installed("netjumper-bridge"), "exec", "--embedded", "--", "true"]
    assert programs.run(command, env).returncode == 0
