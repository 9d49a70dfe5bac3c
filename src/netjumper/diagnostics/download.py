"""Throughput of a tunnel: a page fetched through it."""

import contextlib
import re
import socket
import ssl
import time

from netjumper.addressing.address import Address
from netjumper.tls.errors import is_cut

MIN_MEASURED_BYTES = 64 * 1024
"""Bytes of a body that are enough to measure its speed."""
READ_BYTES = 65536
MAX_DOWNLOAD_BYTES = 16 * 1024 * 1024
MAX_DOWNLOAD_S = 5.0
"""Seconds of a download that are measured, at most."""
_HEAD_END = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)


def download(
    sock: socket.socket,
    target: Address,
    path: str,
    *,
    tls: ssl.SSLContext | None,
    deadline: float,
) -> tuple[int, float]:
    """Fetch a page; return how many bytes came after the first ones, and the seconds they took.

    It ends with the content, after 16 MiB or 5 s, and closes the tunnel.

    Args:
        sock: a tunnel to the web server.
        target: the web server; its host is what the certificate must name.
        path: the path of the page.
        tls: speak TLS with the server.
        deadline: `monotonic` seconds until which the head of its answer must come.

    Raises:
        OSError: the connection fails, the certificate is invalid (ssl.SSLError), or no answer
        comes.
    """
    host = target.host
    authority = f"[{host}]" if ":" in host else host
    if target.port != (80 if tls is None else 443):
        authority = str(target)
    _wait_until(sock, deadline)
    stream = sock if tls is None else tls.wrap_socket(sock, server_hostname=host)
    with stream:
        head = f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: netjumper\r\n"
        stream.sendall(f"{head}Connection: close\r\n\r\n".encode("ascii"))
        received = b""
        while _HEAD_END not in received and len(received) < READ_BYTES:
            _wait_until(stream, deadline)
            if not (data := _received(stream)):
                break
            received += data
        if not received:
            raise ConnectionError("it closed the connection without an answer")
        begun = now = time.monotonic()
        count, limit = 0, _bytes_left(received)
        with contextlib.suppress(TimeoutError):  # what came before is measured
            while count < limit:
                _wait_until(stream, begun + MAX_DOWNLOAD_S)
                if not (data := _received(stream)):
                    break
                count += len(data)
                now = time.monotonic()
    return count, now - begun


def _bytes_left(received: bytes) -> int:
    """Return how many bytes of an answer are still to come, or the limit if that is not known.

    Some servers keep the connection in spite of `Connection: close`, so the end of the content
    (RFC 9112 section 6.3) is not the end of the connection.
    """
    head, end, content = received.partition(_HEAD_END)
    length = _CONTENT_LENGTH.search(head + b"\r\n") if end else None
    if length is None:
        return MAX_DOWNLOAD_BYTES
    return min(int(length[1]) - len(content), MAX_DOWNLOAD_BYTES)


def _wait_until(stream: socket.socket, deadline: float) -> None:
    """Let the next operation take until the deadline.

    Raises:
        TimeoutError: it is over.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    stream.settimeout(left)


def _received(stream: socket.socket) -> bytes:
    """Return what came; `b""` at the end, or if TLS was truncated: what came before is measured."""
    try:
        return stream.recv(READ_BYTES)
    except ssl.SSLError as error:
        if not is_cut(error):
            raise
        return b""
