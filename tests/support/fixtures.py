"""Fixtures for all tests: a home without settings, private files, a pipe, a listening socket."""

import contextlib
import logging
import os
import select
import socket
import ssl
import time
from typing import Any

import pytest

from netjumper.settings import settings_file
from tests.support.programs import TIMEOUT_S

IGNORES_TRUNCATION = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
"""The option that Python 3.11.0 to 3.11.3 set by default; 0 before OpenSSL 3."""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Return the directory XDG_CONFIG_HOME; it hides the settings of this machine from tests."""
    for name in list(os.environ):
        if name.startswith("NETJUMPER"):
            monkeypatch.delenv(name)
    directory = tmp_path / "home"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(directory))
    monkeypatch.setattr(settings_file, "SYSTEM_CONFIG", tmp_path / "etc" / "config.toml")
    return directory


@pytest.fixture
def private(tmp_path):
    """Return a function that writes a file which only its owner can read."""

    def write(name, text, mode=0o600):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    return write


class Pipe:
    """A pipe that the test reads."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        self.data = b""

    def fill(self):
        """Write until the pipe is full."""
        os.set_blocking(self.writer, False)
        for piece in (1024, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(self.writer, b"." * piece)
        os.set_blocking(self.writer, True)

    def read_until(self, wanted, times=1):
        """Read until `wanted` was read so many `times`, and return everything read so far."""
        end = time.monotonic() + TIMEOUT_S
        while self.data.count(wanted) < times:
            assert select.select([self.reader], [], [], end - time.monotonic())[0], self.data[-200:]
            self.data += os.read(self.reader, 65536)
        return self.data

    def close_reader(self):
        os.close(self.reader)
        self.reader = -1

    def close(self):
        for fd in (self.reader, self.writer):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def pipe():
    it = Pipe()
    yield it
    it.close()


@pytest.fixture
def untouched_logging():
    """Restore the settings of logging at the end."""
    root, loop = logging.getLogger(), logging.getLogger("asyncio")
    flags = ["logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"]
    before = root.handlers[:], root.level, loop.level
    values = {flag: getattr(logging, flag) for flag in flags if hasattr(logging, flag)}
    root.handlers[:] = []
    yield
    root.handlers[:], root.level, level = before
    loop.setLevel(level)
    for flag, value in values.items():
        setattr(logging, flag, value)


@pytest.fixture
def listener():
    """Return a socket that listens on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture(params=["this Python", "Python 3.11.2"])
def ssl_defaults(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create contexts with the default options of this Python, or of Python 3.11.2."""
    if request.param == "this Python":
        return
    if not IGNORES_TRUNCATION:
        pytest.skip("OpenSSL is older than the option")
    make = ssl.SSLContext.__new__

    def lenient(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = make(*args, **kwargs)
        context.options |= IGNORES_TRUNCATION
        return context

    monkeypatch.setattr(ssl.SSLContext, "__new__", staticmethod(lenient))
    assert ssl.create_default_context().options & IGNORES_TRUNCATION
