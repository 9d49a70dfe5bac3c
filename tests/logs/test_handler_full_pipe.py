"""Real commands that log into a pipe: a full pipe, a closed one, and a flood of lines."""

import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.programs import (
    ALLOW_LOCAL_TARGETS,
    SECRET,
    TIMEOUT_S,
    clean_environment,
    installed,
    running,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

SERVER = ["netjumper", "--listen", "127.0.0.1:0", "--deny", ".example"]
ENV = {"NETJUMPER_SECRET": SECRET}
FAR = ".".join(["x" * 60] * 3) + ".example:443"
"""A name that is refused without a look-up, and makes a long line."""


@contextlib.contextmanager
def logging_into(pipe, *more):
    """Run a jump server that logs into the pipe; yield it and its address."""
    env = {**clean_environment(), **ALLOW_LOCAL_TARGETS, **ENV}
    command = [installed(SERVER[0]), *SERVER[1:], *more]
    with subprocess.Popen(command, env=env, stderr=pipe.writer) as process:
        try:
            start = pipe.read_until(b"try: ").decode()
            host, _, port = re.search(r"listening for netjumper on (\S+)", start)[1].rpartition(":")
            yield process, (host, int(port))
        finally:
            process.kill()


def answered(sock, secret=SECRET):
    """Answer the challenge and return the verdict."""
    challenge = sock.recv(33, socket.MSG_WAITALL)[1:]
    sock.sendall(b"\x14" + hashlib.sha1(challenge + secret.encode()).digest())
    return sock.recv(1)


def refused(address):
    """Request a target that is refused."""
    with socket.create_connection(address, TIMEOUT_S) as sock:
        assert answered(sock) == b"\0"
        sock.sendall(bytes([len(FAR)]) + FAR.encode())
        assert sock.recv(1) == b"\1"


def echoed(address):
    """Send bytes through a tunnel and check that they arrive."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(address, TIMEOUT_S) as sock,
    ):
        where = b"127.0.0.1:%d" % listener.getsockname()[1]
        assert answered(sock) == b"\0"
        sock.sendall(bytes([len(where)]) + where + b"hello")
        far, _ = listener.accept()
        with far:
            assert far.recv(5, socket.MSG_WAITALL) == b"hello"


def test_server_with_an_unread_log_keeps_serving_and_counts_dropped_lines(pipe):
    count = 4000
    with logging_into(pipe) as (process, address):
        for _ in range(count):
            refused(address)
        echoed(address)
        got = pipe.read_until(b" dropped\n").decode()
        found = re.search(r"log reader too slow: ([\d,]+) lines? dropped", got)
        dropped = int(found[1].replace(",", ""))
        refused(address)
        lines = pipe.read_until(b"-> x")
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0
        os.close(pipe.writer)
        pipe.writer = -1
        while data := os.read(pipe.reader, 65536):
            pipe.data += data
    lines = pipe.data.decode().splitlines()
    assert dropped > 0
    assert sum("TargetDenied" in it for it in lines) + dropped == count + 2  # and the echo
    assert all(re.match(r"\d{4}-\d\d-\d\dT.* (INFO|WARNING) ", it) for it in lines)
    assert "stopping: " in lines[-1]


def test_server_with_an_unread_log_stops_on_a_signal(pipe):
    with logging_into(pipe) as (process, address):
        pipe.fill()
        refused(address)
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0


def test_server_keeps_serving_after_its_log_is_closed(pipe):
    with logging_into(pipe) as (process, address):
        pipe.close_reader()
        for _ in range(50):
            refused(address)
        echoed(address)
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0


def test_killed_workers_are_replaced_while_the_log_is_unread(pipe):
    with logging_into(pipe, "--workers", "2") as (process, address):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        before = set(children.read_text().split())
        pipe.fill()
        for pid in before:
            os.kill(int(pid), signal.SIGKILL)
        end = time.monotonic() + TIMEOUT_S
        while len(set(children.read_text().split()) - before) < 2:
            assert time.monotonic() < end
            time.sleep(0.005)
        echoed(address)
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0


def test_lines_of_a_worker_are_queued_for_a_slow_reader(pipe):
    with logging_into(pipe, "--workers", "2") as (process, address):
        pipe.fill()
        for _ in range(10):
            refused(address)
        pipe.read_until(b"TargetDenied", times=10)
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0
    assert b" dropped" not in pipe.data


def test_exec_ends_while_the_log_of_its_bridge_is_unread(pipe):
    pipe.fill()
    command = [installed("netjumper-bridge"), "exec", "--embedded", "--log-level", "info"]
    done = subprocess.run(
        [*command, "--", "true"],
        env=clean_environment(), stderr=pipe.writer, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0


@pytest.mark.parametrize("style", ["plain", "json", "rich"])
def test_flood_of_wrong_secrets_is_a_few_lines_and_a_count(style):
    count = 400
    flags = ["--log-format", style, "--max-auth-failures", "0"]
    with running(*SERVER, *flags, env=ENV) as server:
        shown = server.wait_for(r"netjumper\b.* (127\.0\.0\.1:\d+)")[0][1]
        host, _, port = shown.rpartition(":")
        for _ in range(count):
            with socket.create_connection((host, int(port)), TIMEOUT_S) as sock:
                assert answered(sock, "wrong") == b"\1"
        echoed((host, int(port)))
        server.wait_for(
            r"suppressed [\d,]+ similar lines?: 127\.0\.0\.1:\d+ -> \?: .*Authentication"
        )
        assert server.stop() == 0
    reports = [it[1] for line in server.lines if (it := re.search(r"suppressed ([\d,]+) s", line))]
    logged = [it for it in server.lines if "Authentication" in it and "suppressed" not in it]
    assert len(logged) + sum(int(it.replace(",", "")) for it in reports) == count
    assert len(logged) + len(reports) < count / 4
    assert len([it for it in server.lines if "closed" in it or "reset by" in it]) == 1
