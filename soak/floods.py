"""Peers that cause much work with few bytes; and how long small messages of others take then."""

import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

INTERVAL_S = 0.002
"""Pause between two small messages."""
MAX_FIELDS = 200
"""Fields in one interim answer; a bridge accepts no more than 256."""
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"
LONG_INTERIM = INTERIM[:-2] + b"".join(b"a%d: b\r\n" % it for it in range(MAX_FIELDS)) + b"\r\n"
PING = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
NO_PASSWORD = b"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: a\r\n\r\n"


USER, PASSWORD = b"me", b"only for the floods"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a flood goes, on 127.0.0.1.

    Attributes:
        bridge: the listener for both protocols of a bridge that requires no password.
        guarded: that of a bridge that requires `PASSWORD`.
        tls: the TLS listener of the jump server of both, which has a certificate.
    """

    bridge: int
    guarded: int
    tls: int


Flood = Callable[[Ports], None]
"""Floods until its process is killed."""


def answers_with(begin: bytes, again: bytes) -> Flood:
    """Return a flood by a target that sends `begin` and then `again` for ever."""

    def flood(ports: Ports) -> None:
        with socket.create_server(("127.0.0.1", 0)) as target:
            threading.Thread(target=_answer, args=(target, begin, again), daemon=True).start()
            request = b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: a\r\n\r\n"
            while True:
                with _connected(ports.bridge) as client, suppress(OSError):
                    client.sendall(request % target.getsockname()[1])
                    while client.recv(1 << 20):
                        pass

    return flood


def _answer(target: socket.socket, begin: bytes, again: bytes) -> None:
    data = again * (65536 // len(again) + 1)
    while True:
        sock, _ = target.accept()
        with sock, suppress(OSError):
            sock.recv(65536)
            sock.sendall(begin)
            while True:
                sock.sendall(data)


def pings(ports: Ports) -> None:
    """Send pipelined `OPTIONS *`, as fast as the bridge accepts connections."""
    _pipelined(ports.bridge, PING)


def requests_without_password(ports: Ports) -> None:
    """Send pipelined requests without a password to a bridge that requires one."""
    _pipelined(ports.guarded, NO_PASSWORD)


def _pipelined(port: int, request: bytes) -> None:
    while True:
        with suppress(OSError), _connected(port) as sock:
            sock.sendall(request * 1000)
            while sock.recv(1 << 20):
                pass


def one_byte_records(ports: Ports) -> None:
    """Send TLS records of one byte that begin no answer to the challenge."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while True:
        with suppress(OSError), context.wrap_socket(_connected(ports.tls)) as sock:
            while True:
                sock.sendall(b"\xff")


FLOODS: Mapping[str, Flood] = {
    "an answer in chunks of one byte": answers_with(CHUNKED, b"1\r\nx\r\n"),
    "endless interim answers": answers_with(b"", INTERIM),
    "endless interim answers with 200 fields": answers_with(b"", LONG_INTERIM),
    "pipelined pings": pings,
    "pipelined requests without a password": requests_without_password,
    "TLS records of one byte": one_byte_records,
}


@contextmanager
def flooding(flood: Flood, ports: Ports) -> Iterator[None]:
    """Run a flood in a process of its own during the block."""
    process = multiprocessing.get_context("fork").Process(target=flood, args=(ports,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def round_trips(bridge: int, seconds: float) -> list[float]:
    """Send small messages to an echo through a bridge; return their round trips, in seconds.

    Args:
        bridge: its port; it requires no password, or `PASSWORD`.
        seconds: how long.
    """
    with socket.create_server(("127.0.0.1", 0)) as target:
        threading.Thread(target=_echo, args=(target,), daemon=True).start()
        with _connected(bridge) as sock:
            sock.sendall(b"\5\1\2")  # a bridge without a password accepts any
            login = b"\1%c%b%c%b" % (len(USER), USER, len(PASSWORD), PASSWORD)
            port = target.getsockname()[1].to_bytes(2)
            sock.sendall(login + b"\5\1\0\1" + socket.inet_aton("127.0.0.1") + port)
            _receive(sock, 14)
            times = []
            end = time.monotonic() + seconds
            while (began := time.monotonic()) < end:
                sock.sendall(b"x")
                _receive(sock, 1)
                times.append(time.monotonic() - began)
                time.sleep(INTERVAL_S)
    return times


def percentile(times: list[float], share: float) -> float:
    """Return the time that `share` of all times are below."""
    return sorted(times)[int(share * (len(times) - 1))]


def _echo(target: socket.socket) -> None:
    sock, _ = target.accept()
    with sock, suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := sock.recv(65536):
            sock.sendall(data)


def _connected(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), 30.0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _receive(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError(f"the tunnel ended after {data!r}")
        data += more
    return data
