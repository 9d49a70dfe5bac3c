"""Unit properties, journal and drop-ins, and pages fetched through the bridge."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.deployment import TIMEOUT_S, run, say

SERVER, BRIDGE = "netjumper.service", "netjumper-bridge.service"
SOCKS, HTTP = ("127.0.0.1", 1080), ("127.0.0.1", 8118)
SLOW_PARTS = 8
BIG = 64 * 1024 * 1024


def held(what: str) -> None:
    say(f"ok  {what}")


def prop(unit: str, name: str) -> str:
    return run("systemctl", "show", "--value", "--property", name, unit).strip()


def journal(unit: str) -> list[dict[str, str]]:
    run("journalctl", "--sync")
    lines = run("journalctl", "--unit", unit, "--output", "json", "--no-pager").splitlines()
    return [json.loads(line) for line in lines]


def said(unit: str, pattern: str) -> bool:
    return any(re.search(pattern, str(entry["MESSAGE"])) for entry in journal(unit))


@contextlib.contextmanager
def drop_in(unit: str, text: str) -> Iterator[None]:
    """Change a unit as `systemctl edit` does."""
    directory = Path(f"/etc/systemd/system/{unit}.d")
    directory.mkdir(exist_ok=True)
    conf = directory / f"test{len(list(directory.iterdir()))}.conf"
    conf.write_text(text)
    run("systemctl", "daemon-reload")
    try:
        yield
    finally:
        conf.unlink()
        run("systemctl", "daemon-reload")


class Page(BaseHTTPRequestHandler):
    """Serves a small page, and a slow and a big one by their paths."""

    def do_GET(self) -> None:
        if self.path == "/big":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bytes(BIG))
            return
        parts = SLOW_PARTS if self.path == "/slow" else 1
        self.send_response(200)
        self.send_header("Content-Length", str(5 * parts))
        self.end_headers()
        for part in range(parts):
            if part:
                time.sleep(0.25)
            self.wfile.write(b"page\n")

    def log_message(self, *args: object) -> None:
        """Log nothing."""


class Pages(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


def begin(address: tuple[str, int], port: int, path: str = "/") -> socket.socket:
    """Request a page through a listener; SOCKS4 is one message and one answer."""
    sock = socket.create_connection(address, TIMEOUT_S)
    request = f"GET {path} HTTP/1.0\r\n\r\n".encode()
    if address == SOCKS:
        sock.sendall(b"\4\1" + port.to_bytes(2, "big") + socket.inet_aton("127.0.0.1") + b"\0")
        answer = sock.recv(8, socket.MSG_WAITALL)
        assert answer[:2] == b"\0\x5a", f"SOCKS answered {answer!r}"
    else:
        request = f"GET http://127.0.0.1:{port}{path} HTTP/1.0\r\n\r\n".encode()
    sock.sendall(request)
    return sock


def finish(sock: socket.socket) -> bytes:
    with sock, sock.makefile("rb") as answer:
        return answer.read().partition(b"\r\n\r\n")[2]


def fetch(address: tuple[str, int], port: int, path: str = "/") -> bytes:
    return finish(begin(address, port, path))
