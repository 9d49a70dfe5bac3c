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
from tests.support.programs import PATIENCE, installed, running

COMMAND = installed("netjumper-bridge")
EMBEDDED = [COMMAND, "exec", "--embedded"]

# The signals' numbers come by a pipe: a handler that printed could meet a print under way.
WAIT_FOR_SIGNALS = """
import os, signal, sys
numbers, tell = os.pipe()
os.set_blocking(tell, False)
signal.set_wakeup_fd(tell)
for number in (
    signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2
):
    signal.signal(number, lambda *_: None)
print('ready', flush=True)
heard = 0
while (number := os.read(numbers, 1)[0]) != signal.SIGTERM:
    heard += 1
    print('heard', number, flush=True)
print('times', heard, flush=True)
sys.exit(9)
"""


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_programs(code):
    assert programs.run([*EMBEDDED, "--", "sh", "-c", f"exit {code}"]).returncode == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGPIPE])
def test_a_program_that_a_signal_ended_is_told_as_a_shell_does(number):
    done = programs.run([*EMBEDDED, "--", "sh", "-c", f"kill -{int(number)} $$"])
    assert done.returncode == 128 + number


def started(*arguments, **streams):
    return subprocess.Popen(
        [*EMBEDDED, *arguments, "--", sys.executable, "-c", WAIT_FOR_SIGNALS],
        env=programs.clean_environment(),
        **streams,
    )


def test_signals_are_passed_on_and_do_not_end_the_bridge():
    # A session of its own: no terminal gives the program its signals.
    program = started(stdout=subprocess.PIPE, text=True, start_new_session=True)
    with program, killed_at_last(program):
        assert program.stdout.readline() == "ready\n"
        numbers = set(SIGNALS) - {signal.SIGTERM}
        assert numbers >= {signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1}
        for number in numbers:
            program.send_signal(number)
            assert program.stdout.readline() == f"heard {int(number)}\n"
        program.terminate()
        assert program.stdout.readline() == f"times {len(numbers)}\n"
        assert program.wait(PATIENCE) == 9


@contextlib.contextmanager
def killed_at_last(program):
    """Leave nothing behind of a program in a session of its own, whatever went wrong."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)


def test_a_descriptor_that_was_left_open_for_the_program_is_its_own(tmp_path):
    list_of_ours = "ls /proc/self/fd; cat <&7"
    given = tmp_path / "given"
    given.write_text("what was left open\n")
    done = programs.run(
        ["bash", "-c", f'exec "$@" 7<{given}', "bash", *EMBEDDED, "--", "sh", "-c", list_of_ours]
    )
    assert done.stdout.decode().split("\n", 5) == [*"0123", "7", "what was left open\n"]


def test_the_program_has_its_own_limit_of_descriptors():
    done = programs.run(["sh", "-c", f"ulimit -Sn 200; {' '.join(EMBEDDED)} -- sh -c 'ulimit -Sn'"])
    assert done.stdout == b"200\n"


async def test_a_signal_before_the_program_runs_is_passed_on_when_it_does():
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
SEND_AND_GO = f"{OPEN_A_TUNNEL}\ntunnel.sendall(bytes(1000000))"
LEAVE_SOMEBODY_BEHIND = f"{OPEN_A_TUNNEL}\nif os.fork() == 0: tunnel.recv(1)"
WAITING = "stopping: waiting up to 3600 s for 1 tunnel"


def sending(code, port):
    return running(
        "netjumper-bridge", "exec", "--embedded", "--grace-period", "3600", "--log-level", "info",
        "--", sys.executable, "-c", code, str(port),
    )  # fmt: skip


def test_what_the_program_has_sent_arrives_when_it_has_ended():
    with socket.create_server(("127.0.0.1", 0)) as target:
        # Small, so that the end of the data is still in the bridge when the program has gone.
        target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        target.settimeout(PATIENCE)
        with sending(SEND_AND_GO, target.getsockname()[1]) as bridge_and_program:
            connection, _ = target.accept()
            with connection:
                connection.settimeout(PATIENCE)
                bridge_and_program.wait_for(WAITING)
                count = 0
                while data := connection.recv(65536):
                    count += len(data)
            assert bridge_and_program.process.wait(PATIENCE) == 0
    assert count == 1000000


def test_a_signal_ends_the_wait_for_what_the_program_left_behind():
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(PATIENCE)
        with sending(LEAVE_SOMEBODY_BEHIND, target.getsockname()[1]) as bridge_and_program:
            connection, _ = target.accept()
            with connection:
                bridge_and_program.wait_for(WAITING)
                bridge_and_program.process.terminate()
                assert bridge_and_program.process.wait(PATIENCE) == 0
                bridge_and_program.wait_for("cut off 1 tunnel")


def test_a_signal_that_is_ignored_stays_so():
    line = f"trap '' HUP; exec {' '.join(EMBEDDED)} -- sh -c 'kill -HUP $$; echo alive'"
    done = programs.run(["sh", "-c", line])
    assert done.stdout == b"alive\n"


class Terminal:
    """A terminal of which the program is the foreground."""

    def __init__(self):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            command = [*EMBEDDED, "--", sys.executable, "-c", WAIT_FOR_SIGNALS]
            os.execve(COMMAND, command, programs.clean_environment())  # noqa: S606 - as meant
        self.text = ""

    def wait_for(self, text):
        while text not in self.text:
            self.text += os.read(self.master, 4096).decode()


def test_ctrl_c_at_a_terminal_reaches_the_program_once():
    terminal = Terminal()
    try:
        terminal.wait_for("ready")
        os.write(terminal.master, b"\3")
        terminal.wait_for("heard 2")
        os.kill(terminal.pid, signal.SIGTERM)
        terminal.wait_for("times 1")
        _, status = os.waitpid(terminal.pid, 0)
    finally:
        os.close(terminal.master)
    assert os.waitstatus_to_exitcode(status) == 9


@pytest.mark.needs("curl")
def test_the_bridge_is_gone_when_the_program_has_ended():
    done = programs.run([*EMBEDDED, "--", "sh", "-c", "echo $http_proxy"])
    proxy = done.stdout.decode().strip()
    after = programs.run(["curl", "-sS", "-p", "-x", proxy, "http://127.0.0.1:1/"])
    assert after.returncode == 7  # could not connect
