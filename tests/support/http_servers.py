"""Servers for third-party programs: of files, and of git repositories."""

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
from tests.support.servers import served

HOME = "home.example"
"""Only the jump server knows names below it (RFC 6761 reserves `.example`)."""

BEGINNING = 1000
"""Bytes of an answer that do not wait for other requests."""

_KNOWS_HOME = f"""\
import socket
look_up = socket.getaddrinfo

def at_home(host, *args, **options):
    known = host.endswith(".{HOME}")
    return look_up("127.0.0.1" if known else host, *args, **options)

socket.getaddrinfo = at_home
"""


def knowing_home(folder: Path) -> dict[str, str]:
    """Return the environment in which one of the project's commands knows the names at home."""
    (folder / "sitecustomize.py").write_text(_KNOWS_HOME)  # Python imports it as it starts
    return {"PYTHONPATH": str(folder)}


@dataclass
class Origin:
    """The address of a server, and its requests."""

    name: str
    port: int
    scheme: str
    at_once: int = 1
    """So many requests must be under way before the first is answered to its end."""
    requests: list[str] = field(default_factory=list)
    """Such as `GET /page`, with the range or the transfer coding behind it if there was one."""
    _asked: threading.Condition = field(default_factory=threading.Condition)

    @property
    def place(self) -> str:
        """Its `host:port`, of which only the jump server knows the host."""
        return f"{self.name}.{HOME}:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.place}{path}"

    def asked(self, request: str) -> None:
        with self._asked:
            self.requests.append(request)
            self._asked.notify_all()

    def wait_for_the_others(self) -> None:
        with self._asked:
            enough = self._asked.wait_for(lambda: len(self.requests) >= self.at_once, TIMEOUT_S)
        assert enough, f"{len(self.requests)} requests, not {self.at_once}"


@contextmanager
def file_server(
    name: str,
    files: Mapping[str, bytes],
    context: ssl.SSLContext | None = None,
    at_once: int = 1,
) -> Iterator[Origin]:
    """Serve `files`, by their paths, over HTTP, or HTTPS with `context`.

    What is added to `files` later is served too. No request is answered to its end before there
    are `at_once`.
    """
    handler = type("Files", (_FileHandler,), {"files": files})
    with _serving(name, handler, context) as origin:
        origin.at_once = at_once
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
    with served(handler, context) as port:
        handler.origin = Origin(name, port, "https" if context else "http")
        yield handler.origin


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    origin: ClassVar[Origin]

    def parse_request(self) -> bool:
        understood = super().parse_request()
        if understood:
            how = self.headers["Range"] or self.headers["Transfer-Encoding"] or ""
            self.origin.asked(f"{self.command} {self.path} {how}".rstrip())
        return understood

    def answer(self, status: int, fields: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:BEGINNING])
            self.origin.wait_for_the_others()
            self.wfile.write(body[BEGINNING:])

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class _FileHandler(_Handler):
    files: ClassVar[Mapping[str, bytes]]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        if body is None:
            self.answer(404, {}, b"there is no such file\n")
        else:
            self._give(body)

    def _give(self, body: bytes) -> None:
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
    """What a web server's CGI does for git (RFC 3875, git-http-backend(1))."""

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
