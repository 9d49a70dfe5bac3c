"""Python in namespaces of its own: a network that a test may break, and no privileges."""

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


def run_apart(code: str) -> str:
    """Run `code` behind the prelude in a network of its own; return what it prints."""
    return _run(_unshare("--net"), f"loopback(True)\n{code}")


def call_apart(module: str, function: str) -> None:
    """Call a test's function in a network, and with mounts, of its own."""
    code = f"sys.path[:0] = {sys.path!r}\nfrom {module} import {function}\n{function}()"
    assert _run(_unshare("--net", "--mount"), f"loopback(True)\n{code}") == ""


def run_unprivileged(code: str) -> str:
    """Run `code` behind the prelude as a user without network privileges."""
    return _run(_unshare(), code)


def _run(command: list[str], code: str) -> str:
    if not command:
        pytest.skip("namespaces cannot be made here")
    done = subprocess.run(
        [*command, sys.executable, "-c", PRELUDE + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.stdout.strip()
