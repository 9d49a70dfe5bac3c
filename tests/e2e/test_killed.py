"""A process is killed during a transfer: cut data never looks complete."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.programs import TIMEOUT_S, Chain, chain_running

HALF = b"HTTP/1.1 200 OK\r\n\r\nthe first half, and "
"""The start of an answer without a length: the end of the connection ends it."""


@contextmanager
def target() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        yield listener


def forwarded(chain: Chain, port: int) -> socket.socket:
    """Request a page through the HTTP listener."""
    host, _, listener_port = chain.http.rpartition(":")
    sock = socket.create_connection((host, int(listener_port)), TIMEOUT_S)
    sock.sendall(b"GET http://127.0.0.1:%d/ HTTP/1.0\r\n\r\n" % port)
    return sock


def tunnelled(chain: Chain, port: int) -> socket.socket:
    """Request a page through the SOCKS listener."""
    host, _, listener_port = chain.socks.rpartition(":")
    sock = socket.create_connection((host, int(listener_port)), TIMEOUT_S)
    sock.sendall(b"\5\1\0" + b"\5\1\0\1" + socket.inet_aton("127.0.0.1") + port.to_bytes(2))
    answers = b""
    while len(answers) < 12:  # and no byte of the target's
        more = sock.recv(12 - len(answers))
        assert more, answers
        answers += more
    assert answers[:4] == b"\5\0\5\0"
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return sock


@pytest.mark.parametrize("killed", ["bridge", "server"])
@pytest.mark.parametrize("ask", [forwarded, tunnelled])
def test_answer_cut_by_a_kill_ends_with_a_reset(ask, killed):
    with target() as listener, chain_running() as chain:
        with ask(chain, listener.getsockname()[1]) as sock:
            serving, _ = listener.accept()
            with serving:
                serving.sendall(HALF)
                answer = b""
                while not answer.endswith(b"and "):
                    answer += sock.recv(4096)
                getattr(chain, killed).process.kill()
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
