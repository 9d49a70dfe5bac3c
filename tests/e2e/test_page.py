"""A web page in Chromium, which uses no proxy, sends the bridge's ports every kind of request."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.e2e.test_browser import CHROMIUM
from tests.support.programs import TIMEOUT_S, run
from tests.support.remote_network import remote_network
from tests.support.servers import serve_in_threads

pytestmark = pytest.mark.needs("chromium")

PAGE = """<!doctype html><img src="/wait"><script>
const hidden = "GET http://target.example/ HTTP/1.1\\r\\nHost: target.example\\r\\n\\r\\n";
const attempt = (name, port, options) => fetch("http://127.0.0.1:" + port + "/", options).then(
  answer => name + " " + port + (answer.type === "opaque" ? " blocked" : " read"),
  () => name + " " + port + " blocked");
const socket = port => new Promise(done => {
  const it = new WebSocket("ws://127.0.0.1:" + port + "/");
  it.onopen = () => done("socket " + port + " read");
  it.onerror = () => done("socket " + port + " blocked");
});
Promise.all(PORTS.flatMap(port => [
  attempt("get", port, {}),
  attempt("post", port, {method: "POST", mode: "no-cors", body: hidden}),
  attempt("preflight", port, {method: "PUT", headers: {"X-Any": "1"}, body: hidden}),
  attempt("authorization", port, {headers: {"Proxy-Authorization": "Basic YTpi"}}),
  socket(port),
])).then(all => fetch("/done", {method: "POST", body: all.join("\\n")}));
</script>"""


class _Handler(BaseHTTPRequestHandler):
    ports: ClassVar[list[str]]
    results: ClassVar[list[str]]
    done: ClassVar[threading.Event]

    def do_GET(self) -> None:
        if self.path == "/wait":  # the browser ends when the page is complete, so it is not yet
            self.done.wait(TIMEOUT_S)
        self._answer(PAGE.replace("PORTS", f"[{','.join(self.ports)}]").encode())

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.results.extend(text.splitlines())
        self._answer(b"")
        self.done.set()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def page(*listeners: str) -> Iterator[tuple[str, list[str]]]:
    """Serve the page for those listeners; yields its URL and the results of its script."""
    results: list[str] = []
    ports = [listener.rpartition(":")[2] for listener in listeners]
    found = {"ports": ports, "results": results, "done": threading.Event()}
    with serve_in_threads(type("Handler", (_Handler,), found)) as port:
        yield f"http://127.0.0.1:{port}/", results


def test_web_page_causes_no_dial_and_reads_no_answer(tmp_path: Path, caplog: Any) -> None:
    with (
        caplog.at_level(logging.INFO),
        remote_network({}) as end,
        page(end.http, end.socks) as (url, got),
    ):
        browser = [*CHROMIUM, "--no-proxy-server", f"--user-data-dir={tmp_path}", "--dump-dom", url]
        done = run(browser, env={"HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr.decode()
    assert len(got) == 10
    assert all(it.endswith(" blocked") for it in got)
    assert end.dialled == []
    assert "GET 400: Refused: The request is not a proxy request" in caplog.text
    assert "POST 400: Refused: The request is not a proxy request" in caplog.text
    assert "OPTIONS 400: Refused: The request is not a proxy request" in caplog.text
    assert "HTTP was sent to a listener for SOCKS" in caplog.text
