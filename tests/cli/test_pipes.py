"""Pipes as files of settings: one with a writer is read, one without does not block."""

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
NO_WRITER = "no program writes into this pipe"
READ_TWICE = "a pipe cannot be read twice; expected a file"
ENV = {"NETJUMPER_SECRET": "secret-of-number-one"}


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    return str(tmp_path / "fifo")


@pytest.fixture
def certificate(tmp_path):
    """Return the file of a certificate and its key."""
    path = tmp_path / "own.pem"
    path.touch(0o600)
    trustme.CA().issue_cert("home").private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)


@contextlib.contextmanager
def pipe_with(content):
    """Yield the descriptor and the name of a pipe with this content, like a shell's `<(...)`."""
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "wb") as write:
        write.write(content)
        write.close()
        yield reader, f"/dev/fd/{reader}"


def run_command(command, *more, env=ENV):
    done = programs.run([installed(command[0]), *command[1:], *more], env=env)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("command", "flag", "reason"),
    [
        (SERVER, "--secret-file", NO_WRITER),
        (SERVER, "--clients-file", NO_WRITER),
        (SERVER, "--config", NO_WRITER),
        (TLS, "--certificate-file", READ_TWICE),
        ([*BRIDGE, "home:1"], "--auth-file", NO_WRITER),
        (OVER_TLS, "--ca-file", NO_WRITER),
        ([*BRIDGE, "netjumper+tls://home?ca=system"], "--certificate-file", READ_TWICE),
        (["netjumper-bridge", "doctor", "--jump", "home:1"], "--secret-file", NO_WRITER),
        (SHARE, "--certificate-file", NO_WRITER),
    ],
)
def test_pipe_without_a_writer_is_refused_in_one_line(command, flag, reason, fifo):
    check = [] if {"share", "doctor"} & {*command} else ["--check"]
    env = {} if flag == "--secret-file" else ENV
    code, message = run_command(command, flag, fifo, *check, env=env)
    assert code == 2
    assert message.count("\n") == 1
    assert reason in message


def test_client_ca_pipe_without_a_writer_is_refused_in_one_line(fifo, certificate):
    files = ["--certificate-file", certificate, "--client-ca-file", fifo]
    code, message = run_command(TLS, *files, "--check")
    assert code == 2
    assert message.endswith(f": {fifo}: {NO_WRITER}\n")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "flag", "content"),
    [
        (SERVER, "--secret-file", b"secret-of-number-one"),
        (SERVER, "--clients-file", b'[alice]\nsecrets = ["secret-of-number-two"]\n'),
        (SERVER, "--config", b"[server]\nworkers = 2\n"),
        ([*BRIDGE, "home:1"], "--auth-file", b"me:secret\n"),
        (OVER_TLS, "--ca-file", None),
    ],
)
def test_pipe_with_a_writer_is_read(command, flag, content, tmp_path):
    if content is None:
        content = b"\xc3\xa4\n" + trustme.CA().cert_pem.bytes()
    env = {} if flag == "--secret-file" else ENV
    with pipe_with(content) as (fd, name):
        words = [*command, flag, name, "--check"]
        with running(*words, env=env, pass_fds=[fd]) as it:
            assert it.process.wait(programs.TIMEOUT_S) == 0, it.lines


@pytest.mark.parametrize("workers", ["1", "2"])
def test_pipe_in_place_of_a_file_does_not_block_a_reload(workers, private):
    path = private("clients.toml", '[alice]\nsecrets = ["secret-of-number-two"]\n')
    with running(*SERVER, "--clients-file", str(path), "--workers", workers) as it:
        it.wait_for("try: ")
        path.unlink()
        os.mkfifo(path, 0o600)
        it.process.send_signal(signal.SIGHUP)
        it.wait_for(f"ERROR --clients-file: cannot read {path}: {NO_WRITER}")
        it.wait_for("ERROR reload failed, keeping the previous settings")
        assert it.stop() == 0
