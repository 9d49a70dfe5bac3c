"""Run Python in separate namespaces: with a network that a test can break, or unprivileged."""

import functools
import shutil
import subprocess
import sys

import pytest

PRELUDE = """
import contextlib, fcntl, select, socket, struct, sys, time
from pathlib import Path
from netjumper.net.option_checks import *
from netjumper.net.socket_options import SocketOptions

def loopback(up):
    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", int(up)))  # SIOCSIFFLAGS, IFF_UP

def fast_open(allowed):
    Path("/proc/sys/net/ipv4/tcp_fastopen").write_text(str(allowed))

def pair(dialling, listening):
    with listening.listening_socket(socket.AF_INET) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = dialling.dial(socket.AF_INET, listener.getsockname())
        accepted, _ = listener.accept()
        client.settimeout(5.0)
        return client, accepted
"""


@functools.cache
def _unshare(*options: str) -> list[str]:
    command = [shutil.which("unshare") or "unshare", "--map-root-user", *options]
    try:
        subprocess.run([*command, "true"], capture_output=True, check=True, timeout=20)
    except (OSError, subprocess.CalledProcessError):
        return []
    return command


def run_in_namespace(code: str) -> str:
    """Run `PRELUDE` and `code` in a separate network; return the output."""
    return _run(_unshare("--net"), f"loopback(True)\n{code}")


def call_in_namespace(module: str, function: str) -> None:
    """Call a function of a test module in a separate network, with separate mounts."""
    code = f"sys.path[:0] = {sys.path!r}\nfrom {module} import {function}\n{function}()"
    assert _run(_unshare("--net", "--mount"), f"loopback(True)\n{code}") == ""


def run_unprivileged(code: str) -> str:
    """Run `PRELUDE` and `code` as a user without network privileges; return the output."""
    return _run(_unshare(), code)


def first_process_command() -> list[str]:
    """Return the words before a command that make it the first process of a namespace."""
    words = _unshare("--pid", "--fork", "--mount-proc", "--kill-child")
    if not words:
        pytest.skip("this machine does not allow namespaces")
    return words


def _run(command: list[str], code: str) -> str:
    if not command:
        pytest.skip("this machine does not allow namespaces")
    done = subprocess.run(
        [*command, sys.executable, "-c", PRELUDE + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.stdout.strip()
