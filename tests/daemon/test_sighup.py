"""SIGHUP: sent to a bridge, by a closed terminal, and while a command starts."""

import array
import contextlib
import fcntl
import os
import pty
import signal
import socket
import sys
import termios

import pytest

from netjumper.daemon.sighup import block_sighup, handle_sighup, unblock_sighup
from tests.support.programs import TIMEOUT_S, installed, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="opens pipes by /dev/fd")

SERVER = ["netjumper", "--listen", "127.0.0.1:0"]
BRIDGE = ["netjumper-bridge", "--jump", "127.0.0.1:1", "--max-parked", "0", "--socks"]
BRIDGE += ["127.0.0.1:0"]
WORKERS = ["--workers", "2"]
ENV = {"NETJUMPER_SECRET": "secret-of-number-one"}
IGNORED = "INFO SIGHUP ignored: the bridge cannot reload its settings; restart it"
RELOADED = "INFO settings reloaded"


class Terminal:
    """A pseudo-terminal."""

    def __init__(self):
        self._master, self.slave = pty.openpty()

    def close(self):
        """Hang up, as a closed window or a lost connection does."""
        os.close(self._master)
        self._master = -1


@pytest.fixture
def terminal():
    made = Terminal()
    yield made
    os.close(made.slave)
    if made._master >= 0:
        made.close()


def on_terminal(terminal, command):
    """Run a command that leads the session of the terminal."""
    line = ["/usr/bin/setsid", "--ctty", installed(command[0]), *command[1:]]
    return running(*line, env=ENV, stdin=terminal.slave)


@pytest.mark.parametrize("more", [[], WORKERS])
def test_bridge_ignores_sighup_with_a_message(more):
    with running(*BRIDGE, *more, env=ENV) as it:
        it.address("SOCKS")
        it.wait_for("try: ")
        for count in (1, 2):
            it.process.send_signal(signal.SIGHUP)
            it.wait_for(IGNORED, count)
        assert it.stop() == 0
    assert sum("SIGHUP" in line for line in it.lines) == 2


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
@pytest.mark.parametrize("command", [SERVER, BRIDGE, [*BRIDGE, *WORKERS]])
def test_signals_for_users_end_no_service(command, number):
    with running(*command, env=ENV) as it:
        it.wait_for("try: ")
        it.process.send_signal(number)
        it.process.send_signal(signal.SIGHUP)
        it.wait_for(f"{IGNORED}|{RELOADED}")
        assert it.stop() == 0


# --- a closed terminal ---------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], WORKERS])
@pytest.mark.parametrize("command", [SERVER, BRIDGE])
def test_closed_terminal_stops_the_service(command, more, terminal):
    with on_terminal(terminal, [*command, *more]) as it:
        it.wait_for("listening for")
        it.wait_for("try: ")
        terminal.close()
        assert it.process.wait(TIMEOUT_S) == 0
        it.wait_for("INFO stopping: 0 tunnels open", 2 if more else 1)


@pytest.mark.parametrize("more", [[], WORKERS])
@pytest.mark.parametrize(("command", "message"), [(SERVER, RELOADED), (BRIDGE, IGNORED)])
def test_sighup_with_an_open_terminal_does_not_stop(command, message, more, terminal):
    with on_terminal(terminal, [*command, *more]) as it:
        it.wait_for("try: ")
        it.process.send_signal(signal.SIGHUP)
        it.wait_for(message)
        assert it.stop() == 0


def test_process_with_sighup_ignored_survives_its_terminal(terminal):
    shell = ["/bin/sh", "-c", f"trap '' HUP; exec {installed(BRIDGE[0])} {' '.join(BRIDGE[1:])}"]
    with on_terminal(terminal, shell) as it:
        it.address("SOCKS")
        terminal.close()
        it.wait_for(IGNORED)
        assert it.stop() == 0


def test_repeated_hangup_does_not_abort_tunnels(terminal):
    command = ["netjumper-bridge", "--embedded", "--socks", "127.0.0.1:0"]
    with on_terminal(terminal, command) as it, tunnel(it.address("SOCKS")) as (client, far):
        terminal.close()
        it.wait_for("a second signal aborts them")
        it.process.send_signal(signal.SIGHUP)
        for _ in range(3):
            client.sendall(b"still")
            assert far.recv(5, socket.MSG_WAITALL) == b"still"
        it.process.send_signal(signal.SIGTERM)
        assert it.process.wait(TIMEOUT_S) == 0


@contextlib.contextmanager
def tunnel(socks):
    """Yield both ends of a tunnel."""
    host, _, port = socks.rpartition(":")
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        socket.create_connection((host, int(port)), TIMEOUT_S) as client,
    ):
        target.settimeout(TIMEOUT_S)
        client.sendall(b"\4\1" + target.getsockname()[1].to_bytes(2) + b"\x7f\0\0\1\0")
        far, _ = target.accept()
        with far:
            far.settimeout(TIMEOUT_S)
            assert client.recv(8, socket.MSG_WAITALL)[:2] == b"\0\x5a"
            yield client, far


# --- while a command starts and after it ended ---------------------------------------------


@contextlib.contextmanager
def reading(*command):
    """Yield a command that waits for the rest of its secret, and the pipe to write that to."""
    reader, writer = os.pipe()
    env = {"NETJUMPER_SECRET_FILE": f"/dev/fd/{reader}"}
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb", 0) as pipe:
        pipe.write(b"o")
        with running(*command, env=env, pass_fds=[reader]) as it:
            while unread(reader):
                assert it.process.poll() is None
            yield it, pipe


def unread(fd):
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


@pytest.mark.parametrize("more", [[], WORKERS])
@pytest.mark.parametrize(
    ("command", "message"),
    [
        # The pipe with the secret is at its end.
        (SERVER, "ERROR reload failed, keeping the previous settings"),
        (BRIDGE, IGNORED),
    ],
)
def test_sighup_is_handled_after_the_start(command, message, more):
    with reading(*command, *more) as (it, pipe):
        it.process.send_signal(signal.SIGHUP)
        pipe.write(b"ne-secret-of-many")
        pipe.close()
        it.wait_for(message)
        it.wait_for("listening for")
        assert it.stop() == 0


def test_sighup_ends_a_command_that_only_prints():
    with reading("netjumper", "share", "home", "--with-secret") as (it, _):
        it.process.send_signal(signal.SIGHUP)
        assert it.process.wait(TIMEOUT_S) == -signal.SIGHUP


@pytest.fixture
def sighup_handler():
    """Restore the signal's handler afterwards."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)
    unblock_sighup()


async def test_late_sighup_does_not_change_the_exit_status(sighup_handler):
    block_sighup()
    with handle_sighup(lambda: None, lambda: None):
        pass
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    os.kill(os.getpid(), signal.SIGHUP)
    unblock_sighup()
