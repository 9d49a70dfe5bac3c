"""Standard output that is closed or full."""

import os
import subprocess

import pytest

from tests.support import programs


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_cause_no_traceback(closed):
    command = f"{programs.installed('netjumper')} keygen {closed}; echo $?"
    done = programs.run(["sh", "-c", f"({command}) 2>&1"])
    *lines, code = done.stdout.decode().splitlines()
    if ">&-" not in closed.split():
        assert (code, len(lines)) == ("0", 1)
        return
    message = "netjumper: cannot write to standard output: Bad file descriptor"
    assert (code, lines) == ("1", [] if "2>&-" in closed else [message])


@pytest.mark.parametrize(
    "command",
    [
        ["netjumper", "--help"],
        ["netjumper", "--version"],
        ["netjumper", "keygen"],
        ["netjumper", "share", "home.example.net", "--qr"],
        ["netjumper", "completion", "zsh"],
        ["netjumper-bridge", "--help"],
        ["netjumper-bridge", "doctor", "--help"],
        ["netjumper-bridge", "--embedded", "--check"],
        ["netjumper-bridge", "env"],
    ],
    ids=" ".join,
)
def test_closed_pipe_ends_a_command_quietly(command):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed_pipe:
        done = subprocess.run(
            [programs.installed(command[0]), *command[1:]],
            stdout=closed_pipe,
            stderr=subprocess.PIPE,
            env=programs.clean_environment(),
            timeout=programs.TIMEOUT_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_full_device_is_reported(flag):
    command = f"exec {programs.installed('netjumper')} {flag} >/dev/full"
    done = programs.run(["sh", "-c", command])
    message = "netjumper: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr.decode()) == (1, message)
