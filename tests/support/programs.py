"""Run netjumper's commands, third-party programs and servers, and wait for their output."""

import hashlib
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.support.servers import serve_in_threads

TIMEOUT_S = 20.0
"""Maximum time until an expected line or exit of a program."""

ALLOW_LOCAL_TARGETS = {"NETJUMPER_ALLOW": "127.0.0.0/8,::1"}
"""The environment variable that allows targets on this machine."""


def installed(name: str) -> str:
    """Return the path of a command in the tests' environment; an absolute path is unchanged."""
    return str(Path(sys.executable).parent / name)


class Program:
    """A running command and the lines of its standard error."""

    def __init__(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._is_at_end = False
        self.process = subprocess.Popen(
            [installed(command[0]), *command[1:]],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**clean_environment(), **ALLOW_LOCAL_TARGETS, **(env or {})},
            pass_fds=pass_fds,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._is_at_end = True
            self._changed.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """Wait for `count` lines that match `pattern`, and return their matches."""

        def matching() -> list[re.Match[str]]:
            return [match for line in self.lines if (match := re.search(pattern, line))]

        with self._changed:
            self._changed.wait_for(lambda: len(matching()) >= count or self._is_at_end, TIMEOUT_S)
            matches = matching()
        assert len(matches) >= count, f"{pattern!r} {count} times in:\n" + "\n".join(self.lines)
        return matches[:count]

    def address(self, kind: str) -> str:
        """Return the address of its listener for `kind`: `SOCKS`, `HTTP`, ..."""
        return self.wait_for(rf"listening for {kind} on (\S+)")[0][1]

    def stop(self) -> int:
        """Stop the program like a service manager, and return its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(TIMEOUT_S)
        finally:
            self.close()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def running(
    *command: str,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    stdin: int = subprocess.DEVNULL,
) -> Iterator[Program]:
    """Run a command until the block ends."""
    program = Program(*command, env=env, pass_fds=pass_fds, stdin=stdin)
    try:
        yield program
    finally:
        program.close()


def clean_environment() -> dict[str, str]:
    """Return the environment without netjumper's settings and without proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NETJUMPER") and not name.lower().endswith("_proxy")
    }


def run(
    command: Sequence[str], env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a third-party program until it exits."""
    return subprocess.run(
        command,
        env={**clean_environment(), **(env or {})},
        capture_output=True,
        timeout=TIMEOUT_S * 2,
        check=False,
    )


SECRET = "correct horse battery staple"


@dataclass
class Chain:
    """A jump server and a bridge as processes, and their addresses."""

    server: Program
    bridge: Program
    jump: str
    socks: str
    http: str
    mixed: str


@contextmanager
def chain_running(
    server_env: Mapping[str, str] | None = None, bridge_env: Mapping[str, str] | None = None
) -> Iterator[Chain]:
    """Run both, with the given additional environment variables."""
    secret = {"NETJUMPER_SECRET": SECRET}
    server_env = {**secret, **(server_env or {})}
    bridge_env = {**secret, **(bridge_env or {})}
    with running("netjumper", "--listen", "127.0.0.1:0", env=server_env) as server:
        jump = server.address("netjumper")
        listeners = ["--socks", "127.0.0.1:0", "--http", "127.0.0.1:0", "--mixed", "127.0.0.1:0"]
        with running("netjumper-bridge", "--jump", jump, *listeners, env=bridge_env) as bridge:
            addresses = (bridge.address(kind) for kind in ("SOCKS", "HTTP", "SOCKS and HTTP"))
            yield Chain(server, bridge, jump, *addresses)


BLOCK = bytes(range(256)) * 4096
"""One MiB; a body of n MiB has n of these blocks, which begin with their number."""


def numbered_blocks(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield number.to_bytes(8) + BLOCK[8:]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/blocks/"):
            count = int(self.path.rpartition("/")[2])
            self._head(200, count * len(BLOCK))
            for block in numbered_blocks(count):
                self.wfile.write(block)
            return
        body = f"you requested {self.path} of {self.headers['Host']}\n".encode()
        self._head(200, len(body))
        self.wfile.write(body)

    def do_PUT(self) -> None:
        digest = hashlib.sha256()
        left = int(self.headers["Content-Length"])
        while left:
            data = self.rfile.read(min(left, len(BLOCK)))
            assert data, "the upload was truncated"
            digest.update(data)
            left -= len(data)
        body = digest.hexdigest().encode()
        self._head(200, len(body))
        self.wfile.write(body)

    def _head(self, status: int, size: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def web_server(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve HTTP, or HTTPS with `context`, on loopback; yields the port."""
    with serve_in_threads(_Handler, context) as port:
        yield port
