"""Blocking servers of the tests' own: a handler in threads, with or without TLS."""

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trustme


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *args: Any) -> None:
        """A client that goes away is its own affair."""


@contextmanager
def served(
    handler: type[socketserver.BaseRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Handle what connects to loopback, with TLS where there is a `context`; yields the port."""
    with _Server(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def serving_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return what a server with a certificate for `names` needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusting_context(authority: trustme.CA) -> ssl.SSLContext:
    """Return what a client needs that trusts only the usual authorities."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
