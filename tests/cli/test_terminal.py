"""The running commands on a pseudo-terminal (pty(7))."""

import contextlib
import os
import pty
import re
import signal
import subprocess

import pytest

from tests.support import programs
from tests.support.peers import closed_port
from tests.support.programs import TIMEOUT_S, installed, web_server

EMBEDDED = ["netjumper-bridge", "--embedded", "--socks", "127.0.0.1:0"]


class ProgramOnTerminal:
    """A command whose standard error is a terminal."""

    def __init__(self, *command):
        self.text = ""
        self.master, slave = pty.openpty()
        env = {**programs.clean_environment(), "TERM": "xterm-256color", "COLUMNS": "100"}
        env.pop("NO_COLOR", None)
        executable = installed(command[0])
        self.process = subprocess.Popen(
            [executable, *command[1:]], stdin=slave, stdout=slave, stderr=slave, env=env
        )
        os.close(slave)

    def wait_for(self, pattern):
        while not (match := re.search(pattern, self.text)):
            data = os.read(self.master, 65536)
            assert data, self.text
            self.text += re.sub(r"\x1b\[[0-9;]*m", "", data.decode())
        return match

    def rest(self):
        """Return the whole output of a command that has ended."""
        with contextlib.suppress(OSError):  # EIO: no process has the terminal open any more
            while data := os.read(self.master, 65536):
                self.text += data.decode()
        return self.text

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@contextlib.contextmanager
def on_terminal(*command):
    program = ProgramOnTerminal(*command)
    try:
        yield program
    finally:
        program.close()


@pytest.mark.needs("curl")
def test_bridge_shows_a_panel_with_working_commands():
    command = [*EMBEDDED, "--http", "127.0.0.1:0"]
    with web_server() as port, on_terminal(*command) as bridge:
        http = bridge.wait_for(r" HTTPS_PROXY=(http://127\.0\.0\.1:\d+)")[1]
        curl = re.search(r"(curl --socks5-hostname \S+) https://example.org/", bridge.text)[1]
        assert "╭─ netjumper-bridge " in bridge.text
        assert re.search(r"│ SOCKS +127\.0\.0\.1:\d+ +│", bridge.text)
        assert re.search(r"│ through a jump server in this process", bridge.text)
        page = f"http://127.0.0.1:{port}/page"
        for line in ([*curl.split(), "-sS", page], ["curl", "-sS", "-p", "-x", http, page]):
            assert b"you requested /page" in programs.run(line).stdout
        end = rf"-> 127\.0\.0\.1:{port}  up \d+ B  down \d+ B  \d\.\d\d s  closed"
        bridge.wait_for(rf"(?s){end}.*{end}")
        bridge.process.send_signal(signal.SIGINT)
        bridge.wait_for("stopping: 0 tunnels open")
        assert bridge.process.wait(TIMEOUT_S) == 0


def test_server_shows_a_panel_with_the_bridge_command(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", "s3cret-of-18-bytes")
    command = ["netjumper", "--listen", "127.0.0.1:0", "0", "s3cret-of-18-bytes"]
    with on_terminal(*command) as server:
        server.wait_for(r"netjumper-bridge --jump 127\.0\.0\.1:\d+ --secret-file FILE")
        server.wait_for(r"netjumper-bridge --jump ADDRESS-OF-THIS-MACHINE:\d+ --secret-file FILE")
        assert re.search(r"│ netjumper +127\.0\.0\.1:\d+ +│", server.text)
        assert "s3cret" not in server.text


def test_doctor_shows_that_a_step_is_being_tried(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret-of-number-one")
    secret.chmod(0o600)
    options = ["--jump", str(closed_port()), "--secret-file", str(secret)]
    with on_terminal("netjumper-bridge", "doctor", *options) as doctor:
        doctor.wait_for(r"^\.\.\.\rok +name .*\r\n\.\.\.\rFAILED connect .*\r\n\.\.\.\r   \r\r\n")


def test_panel_is_omitted_if_only_warnings_are_logged():
    with on_terminal(
        *EMBEDDED, "--auth", "me:s3cret-of-18-bytes", "--log-level", "warning"
    ) as bridge:
        bridge.wait_for("warning the password is on the command line")
        # It handles the signal from here on, and ends once it listens.
        bridge.process.terminate()
        assert bridge.process.wait(TIMEOUT_S) == 0
        assert "╭" not in bridge.rest()


@pytest.mark.needs("curl")
def test_closed_terminal_does_not_stop_the_bridge():
    with web_server() as port:
        bridge = ProgramOnTerminal(*EMBEDDED)
        try:
            curl = bridge.wait_for(r"(curl --socks5-hostname \S+) https://example.org/")[1]
            os.close(bridge.master)
            done = programs.run([*curl.split(), "-sS", f"http://127.0.0.1:{port}/"])
            assert done.returncode == 0
            bridge.process.terminate()
            assert bridge.process.wait(TIMEOUT_S) == 0
        finally:
            bridge.process.kill()
            bridge.process.wait()
