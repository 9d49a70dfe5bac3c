"""`netjumper-bridge exec`: signals, exit codes, and how program and bridge end."""

import asyncio
import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys

import pytest

from netjumper.cli import exec_command
from netjumper.cli.child_process import SIGNALS
from tests.support import programs
from tests.support.peers import eventually
from tests.support.programs import TIMEOUT_S, installed, running

COMMAND = installed("netjumper-bridge")
EMBEDDED = [COMMAND, "exec", "--embedded"]

# The wakeup pipe carries the signals' numbers: a handler must not print during a print.
WAIT_FOR_SIGNALS = """
import os, signal, sys
numbers, wakeup = os.pipe()
os.set_blocking(wakeup, False)
signal.set_wakeup_fd(wakeup)
for number in (
    signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2
):
    signal.signal(number, lambda *_: None)
print('ready', flush=True)
received = 0
while (number := os.read(numbers, 1)[0]) != signal.SIGTERM:
    received += 1
    print('received', number, flush=True)
print('times', received, flush=True)
sys.exit(9)
"""


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_code_is_that_of_the_program(code):
    assert programs.run([*EMBEDDED, "--", "sh", "-c", f"exit {code}"]).returncode == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGPIPE])
def test_exit_code_of_a_killed_program_is_that_of_a_shell(number):
    done = programs.run([*EMBEDDED, "--", "sh", "-c", f"kill -{int(number)} $$"])
    assert done.returncode == 128 + number


def start(*arguments, **streams):
    return subprocess.Popen(
        [*EMBEDDED, *arguments, "--", sys.executable, "-c", WAIT_FOR_SIGNALS],
        env=programs.clean_environment(),
        **streams,
    )


def test_signals_are_forwarded_and_do_not_end_the_bridge():
    # In a session of its own it gets no signals from a terminal.
    program = start(stdout=subprocess.PIPE, text=True, start_new_session=True)
    with program, killed_at_the_end(program):
        assert program.stdout.readline() == "ready\n"
        numbers = set(SIGNALS) - {signal.SIGTERM}
        assert numbers >= {signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1}
        for number in numbers:
            program.send_signal(number)
            assert program.stdout.readline() == f"received {int(number)}\n"
        program.terminate()
        assert program.stdout.readline() == f"times {len(numbers)}\n"
        assert program.wait(TIMEOUT_S) == 9


@contextlib.contextmanager
def killed_at_the_end(program):
    """Kill the session that a program leads at the end, even if the test fails."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)


def test_program_inherits_open_descriptors(tmp_path):
    list_fds = "ls /proc/self/fd; cat <&7"
    inherited = tmp_path / "given"
    inherited.write_text("inherited text\n")
    done = programs.run(
        [
            "bash",
            "-c",
            f'exec "$@" 7<{inherited}',
            "bash",
            *EMBEDDED,
            "--",
            "sh",
            "-c",
            list_fds,
        ]
    )
    assert done.stdout.decode().split("\n", 5) == [*"0123", "7", "inherited text\n"]


def test_program_keeps_its_descriptor_limit():
    done = programs.run(["sh", "-c", f"ulimit -Sn 200; {' '.join(EMBEDDED)} -- sh -c 'ulimit -Sn'"])
    assert done.stdout == b"200\n"


async def test_early_signal_is_forwarded_when_the_program_starts():
    program = exec_command.ChildProcess(asyncio.get_running_loop())
    os.kill(os.getpid(), signal.SIGHUP)
    await eventually(lambda: bool(program._pending))
    code = await program.run(["sleep", "60"], programs.clean_environment())
    assert code == 128 + signal.SIGHUP


OPEN_A_TUNNEL = """
import os, socket, sys
from urllib.parse import urlsplit
url = urlsplit(os.environ["ALL_PROXY"])
tunnel = socket.create_connection((url.hostname, url.port))
tunnel.sendall(bytes([4, 1]) + int(sys.argv[1]).to_bytes(2) + bytes([127, 0, 0, 1, 0]))
assert tunnel.recv(8)[1] == 90
"""
SEND_AND_EXIT = f"{OPEN_A_TUNNEL}\ntunnel.sendall(bytes(1000000))"
LEAVE_A_CHILD = f"{OPEN_A_TUNNEL}\nif os.fork() == 0: tunnel.recv(1)"
WAITING = "stopping: waiting up to 3600 s for 1 tunnel"


def exec_running(code, port):
    return running(
        "netjumper-bridge", "exec", "--embedded", "--grace-period", "3600", "--log-level", "info",
        "--", sys.executable, "-c", code, str(port),
    )  # fmt: skip


def test_data_of_an_ended_program_still_arrives():
    with socket.create_server(("127.0.0.1", 0)) as target:
        # Small, so that the end of the data is still in the bridge when the program has gone.
        target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        target.settimeout(TIMEOUT_S)
        with exec_running(SEND_AND_EXIT, target.getsockname()[1]) as command:
            connection, _ = target.accept()
            with connection:
                connection.settimeout(TIMEOUT_S)
                command.wait_for(WAITING)
                count = 0
                while data := connection.recv(65536):
                    count += len(data)
            assert command.process.wait(TIMEOUT_S) == 0
    assert count == 1000000


def test_signal_ends_the_wait_for_open_tunnels():
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(TIMEOUT_S)
        with exec_running(LEAVE_A_CHILD, target.getsockname()[1]) as command:
            connection, _ = target.accept()
            with connection:
                command.wait_for(WAITING)
                command.process.terminate()
                assert command.process.wait(TIMEOUT_S) == 0
                command.wait_for("aborted 1 tunnel")


def test_ignored_signal_stays_ignored():
    line = f"trap '' HUP; exec {' '.join(EMBEDDED)} -- sh -c 'kill -HUP $$; echo alive'"
    done = programs.run(["sh", "-c", line])
    assert done.stdout == b"alive\n"


class Terminal:
    """A terminal of which the program is the foreground."""

    def __init__(self):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            command = [*EMBEDDED, "--", sys.executable, "-c", WAIT_FOR_SIGNALS]
            os.execve(COMMAND, command, programs.clean_environment())  # noqa: S606 - without a shell
        self.text = ""

    def wait_for(self, text):
        while text not in self.text:
            self.text += os.read(self.master, 4096).decode()


def test_ctrl_c_at_a_terminal_reaches_the_program_once():
    terminal = Terminal()
    try:
        terminal.wait_for("ready")
        os.write(terminal.master, b"\3")
        terminal.wait_for("received 2")
        os.kill(terminal.pid, signal.SIGTERM)
        terminal.wait_for("times 1")
        _, status = os.waitpid(terminal.pid, 0)
    finally:
        os.close(terminal.master)
    assert os.waitstatus_to_exitcode(status) == 9


@pytest.mark.needs("curl")
def test_bridge_ends_with_the_program():
    done = programs.run([*EMBEDDED, "--", "sh", "-c", "echo $http_proxy"])
    proxy = done.stdout.decode().strip()
    after = programs.run(["curl", "-sS", "-p", "-x", proxy, "http://127.0.0.1:1/"])
    assert after.returncode == 7  # could not connect
