"""Files of the settings that are pipes: those that are written into are read, no other hangs."""

import contextlib
import os
import signal
import sys

import pytest
import trustme

from tests.support import programs
from tests.support.programs import installed, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="opens pipes by /dev/fd")

SERVER = ["netjumper", "--listen", "127.0.0.1:0"]
TLS = ["netjumper", "--listen-tls", "127.0.0.1:0"]
BRIDGE = ["netjumper-bridge", "--jump"]
OVER_TLS = [*BRIDGE, "netjumper+tls://home"]
SHARE = ["netjumper", "share", "home", "--listen-tls", ":1"]
NOBODY = "no program writes into this pipe"
TWICE = "a pipe cannot be read twice; expected a file"
ENV = {"NETJUMPER_SECRET": "one"}


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    return str(tmp_path / "fifo")


@pytest.fixture
def own(tmp_path):
    """Return a certificate's file with its key."""
    path = tmp_path / "own.pem"
    path.touch(0o600)
    trustme.CA().issue_cert("home").private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)


@contextlib.contextmanager
def through_pipe(content):
    """Give the name of a pipe that this stands in, as a shell's `<(...)` does."""
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "wb") as write:
        write.write(content)
        write.close()
        yield reader, f"/dev/fd/{reader}"


def checked(command, *more, env=ENV):
    done = programs.run([installed(command[0]), *command[1:], *more], env=env)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("command", "flag", "why"),
    [
        (SERVER, "--secret-file", NOBODY),
        (SERVER, "--clients-file", NOBODY),
        (SERVER, "--config", NOBODY),
        (TLS, "--certificate-file", TWICE),
        ([*BRIDGE, "home:1"], "--auth-file", NOBODY),
        (OVER_TLS, "--ca-file", NOBODY),
        ([*BRIDGE, "netjumper+tls://home?ca=system"], "--certificate-file", TWICE),
        (["netjumper-bridge", "doctor", "--jump", "home:1"], "--secret-file", NOBODY),
        (SHARE, "--certificate-file", NOBODY),
    ],
)
def test_a_pipe_that_nobody_writes_into_is_one_line(command, flag, why, fifo):
    check = [] if {"share", "doctor"} & {*command} else ["--check"]
    env = {} if flag == "--secret-file" else ENV
    code, told = checked(command, flag, fifo, *check, env=env)
    assert code == 2
    assert told.count("\n") == 1
    assert why in told


def test_so_is_one_for_what_clients_certificates_are_of(fifo, own):
    files = ["--certificate-file", own, "--client-ca-file", fifo]
    code, told = checked(TLS, *files, "--check")
    assert code == 2
    assert told.endswith(f": {fifo}: {NOBODY}\n")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "flag", "content"),
    [
        (SERVER, "--secret-file", b"one"),
        (SERVER, "--clients-file", b'[alice]\nsecrets = ["two"]\n'),
        (SERVER, "--config", b"[server]\nworkers = 2\n"),
        ([*BRIDGE, "home:1"], "--auth-file", b"me:secret\n"),
        (OVER_TLS, "--ca-file", None),
    ],
)
def test_one_that_is_written_into_is_read(command, flag, content, tmp_path):
    if content is None:
        content = b"\xc3\xa4\n" + trustme.CA().cert_pem.bytes()
    env = {} if flag == "--secret-file" else ENV
    with through_pipe(content) as (fd, name):
        words = [*command, flag, name, "--check"]
        with running(*words, env=env, pass_fds=[fd]) as it:
            assert it.process.wait(programs.PATIENCE) == 0, it.lines


@pytest.mark.parametrize("workers", ["1", "2"])
def test_one_that_takes_a_files_place_does_not_hang_what_serves(workers, private):
    path = private("clients.toml", '[alice]\nsecrets = ["two"]\n')
    with running(*SERVER, "--clients-file", str(path), "--workers", workers) as it:
        it.wait_for("try: ")
        path.unlink()
        os.mkfifo(path, 0o600)
        it.process.send_signal(signal.SIGHUP)
        it.wait_for(f"ERROR --clients-file: cannot read {path}: {NOBODY}")
        it.wait_for("ERROR reload failed, keeping the previous settings")
        assert it.stop() == 0
