"""HTTP servers for third-party programs: of files, and of git repositories."""

import os
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

from tests.support.programs import TIMEOUT_S, clean_environment
from tests.support.servers import serve_in_threads

HOME = "home.example"
"""Only the jump server resolves names below it (RFC 6761 reserves `.example`)."""

FIRST_BYTES = 1000
"""Bytes of an answer that are sent before all requests have arrived."""

_HOME_NAMES = f"""\
import socket
look_up = socket.getaddrinfo

def with_home_names(host, *args, **options):
    known = host.endswith(".{HOME}")
    return look_up("127.0.0.1" if known else host, *args, **options)

socket.getaddrinfo = with_home_names
"""


def home_names_environment(folder: Path) -> dict[str, str]:
    """Return environment variables that make a command resolve the names below `HOME`."""
    (folder / "sitecustomize.py").write_text(_HOME_NAMES)  # Python imports it at start
    return {"PYTHONPATH": str(folder)}


@dataclass
class Origin:
    """The address of a server, and its requests."""

    name: str
    port: int
    scheme: str
    min_requests: int = 1
    """No answer is completed before so many requests have arrived."""
    requests: list[str] = field(default_factory=list)
    """Such as `GET /page`, followed by the range or the transfer coding, if any."""
    _arrival: threading.Condition = field(default_factory=threading.Condition)

    @property
    def host_port(self) -> str:
        """Its `host:port`; only the jump server resolves the host."""
        return f"{self.name}.{HOME}:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.host_port}{path}"

    def record(self, request: str) -> None:
        with self._arrival:
            self.requests.append(request)
            self._arrival.notify_all()

    def wait_for_min_requests(self) -> None:
        with self._arrival:
            enough = self._arrival.wait_for(
                lambda: len(self.requests) >= self.min_requests, TIMEOUT_S
            )
        assert enough, f"{len(self.requests)} requests, not {self.min_requests}"


@contextmanager
def file_server(
    name: str,
    files: Mapping[str, bytes],
    context: ssl.SSLContext | None = None,
    min_requests: int = 1,
) -> Iterator[Origin]:
    """Serve `files`, by their paths, over HTTP, or HTTPS with `context`.

    Files added later are served too. No answer is completed before `min_requests` requests have
    arrived.
    """
    handler = type("Files", (_FileHandler,), {"files": files})
    with _serving(name, handler, context) as origin:
        origin.min_requests = min_requests
        yield origin


@contextmanager
def git_server(root: Path, context: ssl.SSLContext | None = None) -> Iterator[Origin]:
    """Serve the git repositories in `root` to all clients, for reading and writing."""
    handler = type("Git", (_GitHandler,), {"root": root})
    with _serving("git", handler, context) as origin:
        yield origin


@contextmanager
def _serving(
    name: str, handler: type["_Handler"], context: ssl.SSLContext | None
) -> Iterator[Origin]:
    with serve_in_threads(handler, context) as port:
        handler.origin = Origin(name, port, "https" if context else "http")
        yield handler.origin


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    origin: ClassVar[Origin]

    def parse_request(self) -> bool:
        is_valid = super().parse_request()
        if is_valid:
            details = self.headers["Range"] or self.headers["Transfer-Encoding"] or ""
            self.origin.record(f"{self.command} {self.path} {details}".rstrip())
        return is_valid

    def answer(self, status: int, fields: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:FIRST_BYTES])
            self.origin.wait_for_min_requests()
            self.wfile.write(body[FIRST_BYTES:])

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


class _FileHandler(_Handler):
    files: ClassVar[Mapping[str, bytes]]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        if body is None:
            self.answer(404, {}, b"file not found\n")
        else:
            self._send_file(body)

    def _send_file(self, body: bytes) -> None:
        kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
        fields = {"Content-Type": kind, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        if not wanted:
            self.answer(200, fields, body)
            return
        first = int(wanted[1])
        part = body[first : int(wanted[2] or len(body)) + 1]
        fields["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(body)}"
        self.answer(206, fields, part)


class _GitHandler(_Handler):
    """Serves git repositories by CGI (RFC 3875, git-http-backend(1))."""

    root: ClassVar[Path]

    def do_POST(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body = self._body()
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=self._environment(len(body)),
            capture_output=True,
            check=True,
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(fields.pop("Status", "200").split()[0])
        self.answer(status, fields, answer)

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _environment(self, size: int) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        return git_environment() | {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
            "REMOTE_USER": "ada",  # git accepts pushes from this user
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": str(size),
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
        }


def git_environment() -> dict[str, str]:
    """Return an environment in which git has no settings of this machine and no prompts."""
    identity = {f"GIT_{role}_{what}": "ada@home.example" for role in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")}  # fmt: skip
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return clean_environment() | identity | alone | {"GIT_TERMINAL_PROMPT": "0"}


def make_repository(root: Path, files: Mapping[str, bytes]) -> None:
    """Make `root/repo.git` with one commit of `files` on its branch `main`."""

    def git(*arguments: str) -> None:
        command = ["git", "-C", str(root / "work"), *arguments]
        subprocess.run(command, env=git_environment(), check=True, capture_output=True)

    (root / "work").mkdir(parents=True)
    for name, data in files.items():
        (root / "work" / name).write_bytes(data)
    git("init", "--initial-branch=main")
    git("add", ".")
    git("commit", "--message=first")
    git("clone", "--bare", ".", str(root / "repo.git"))
