"""A web server for the container tests: a page, and a download that pauses halfway."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HALF = bytes(1024 * 1024)
go = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """`/slow` sends its second half after a request for `/go`."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            self._head(2 * len(HALF))
            self.wfile.write(HALF)
            go.wait()
            self.wfile.write(HALF)
            return
        if self.path == "/go":
            go.set()
        page = b"a page that only the jump server can reach\n"
        self._head(len(page))
        self.wfile.write(page)

    def _head(self, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


ThreadingHTTPServer(("", 8000), Handler).serve_forever()
