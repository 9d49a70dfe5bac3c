"""Fixtures for every room: a home without settings, private files, a pipe, a listening socket."""

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
    """Return the directory that is XDG_CONFIG_HOME: no test sees settings of this machine."""
    for name in list(os.environ):
        if name.startswith("NETJUMPER"):
            monkeypatch.delenv(name)
    directory = tmp_path / "home"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(directory))
    monkeypatch.setattr(settings_file, "SYSTEM_CONFIG", tmp_path / "etc" / "config.toml")
    return directory


@pytest.fixture
def private(tmp_path):
    """Return what writes a file that only its owner can read."""

    def write(name, text, mode=0o600):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    return write


class Pipe:
    """A pipe whose reader is the test."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        self.got = b""

    def fill(self):
        """Leave no room."""
        os.set_blocking(self.writer, False)
        for piece in (1024, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(self.writer, b"." * piece)
        os.set_blocking(self.writer, True)

    def read_until(self, wanted, times=1):
        """Read on until there is what is wanted, so often, and return all that was read."""
        end = time.monotonic() + TIMEOUT_S
        while self.got.count(wanted) < times:
            assert select.select([self.reader], [], [], end - time.monotonic())[0], self.got[-200:]
            self.got += os.read(self.reader, 65536)
        return self.got

    def close_reader(self):
        os.close(self.reader)
        self.reader = -1

    def close(self):
        for fd in (self.reader, self.writer):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def untouched_logging():
    """Put back what setting the logging up changes."""
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
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture(params=["this Python", "Python 3.11.2"])
def ssl_defaults(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make contexts with the options that they have by default here, or in Python 3.11.2."""
    if request.param == "this Python":
        return
    if not IGNORES_TRUNCATION:
        pytest.skip("OpenSSL is older than the option")
    make = ssl.SSLContext.__new__

    def lenient(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        made = make(*args, **kwargs)
        made.options |= IGNORES_TRUNCATION
        return made

    monkeypatch.setattr(ssl.SSLContext, "__new__", staticmethod(lenient))
    assert ssl.create_default_context().options & IGNORES_TRUNCATION
