"""A jump server that is killed and started again between requests, with both commands running."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from tests.support.peers import closed_port
from tests.support.programs import SECRET, TIMEOUT_S, Program, running, web_server

ENV = {"NETJUMPER_SECRET": SECRET}
AT_ONCE = 8


def forwarded(bridge: Program, port: int, number: int) -> bytes:
    """Request a path through the HTTP listener."""
    connection = HTTPConnection(bridge.address("HTTP"), timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"http://127.0.0.1:{port}/{number}")
        return connection.getresponse().read()
    finally:
        connection.close()


def tunnelled(bridge: Program, port: int, number: int) -> bytes:
    """Request a path through the SOCKS listener."""
    host, _, socks_port = bridge.address("SOCKS").rpartition(":")
    connection = HTTPConnection(f"127.0.0.1:{port}", timeout=TIMEOUT_S)
    with socket.create_connection((host, int(socks_port))) as sock:
        sock.sendall(b"\5\1\0" + b"\5\1\0\1" + socket.inet_aton("127.0.0.1") + port.to_bytes(2))
        assert sock.recv(12, socket.MSG_WAITALL)[:4] == b"\5\0\5\0"
        connection.sock = sock
        connection.request("GET", f"/{number}")
        return connection.getresponse().read()


@pytest.mark.parametrize("ask", [forwarded, tunnelled])
def test_restart_of_the_server_fails_no_request(ask) -> None:
    jump = str(closed_port())
    listeners = ["--socks", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as threads, web_server() as port:
        server = stack.enter_context(running("netjumper", "--listen", jump, env=ENV))
        server.address("netjumper")
        bridge = stack.enter_context(
            running("netjumper-bridge", "--jump", jump, *listeners, env=ENV)
        )
        for begin in range(0, 200, 50):
            numbers = range(begin, begin + 50)
            answers = list(threads.map(lambda number: ask(bridge, port, number), numbers))
            assert answers == [
                f"you requested /{number} of 127.0.0.1:{port}\n".encode() for number in numbers
            ]
            server.close()  # by SIGKILL
            server = stack.enter_context(running("netjumper", "--listen", jump, env=ENV))
            server.address("netjumper")
