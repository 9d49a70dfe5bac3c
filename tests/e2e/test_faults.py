"""A jump server that is stopped or killed in each state of a connection, and peers that stall."""

import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.test_killed import target, tunnelled
from tests.support.peers import closed_port, unresponsive
from tests.support.programs import (
    SECRET,
    TIMEOUT_S,
    Chain,
    Program,
    chain_running,
    running,
    web_server,
)

ENV = {"NETJUMPER_SECRET": SECRET}
TUNNELS = 200
GREETING = b"hello, "
OFFERED = 1_000_000_000
BUFFERED = 64 << 20
"""More bytes than the kernel's buffers and pipes hold on a path of three connections."""
GROWTH = 8 << 20


@contextmanager
def restartable(*options: str) -> Iterator[tuple[ExitStack, str, Program, Program]]:
    """A server, and a bridge that finds it again at the same address."""
    jump = str(closed_port())
    with ExitStack() as stack:
        server = stack.enter_context(running("netjumper", "--listen", jump, env=ENV))
        server.address("netjumper")
        listeners = ["--socks", "127.0.0.1:0", "--http", "127.0.0.1:0", *options]
        bridge = stack.enter_context(
            running("netjumper-bridge", "--jump", jump, *listeners, env=ENV)
        )
        bridge.address("HTTP")
        yield stack, jump, server, bridge


def asking(bridge: Program, port: int, host: str = "127.0.0.1") -> socket.socket:
    """Request a tunnel from the HTTP listener."""
    at, _, listener_port = bridge.address("HTTP").rpartition(":")
    sock = socket.create_connection((at, int(listener_port)), TIMEOUT_S)
    sock.sendall(b"CONNECT %b:%d HTTP/1.0\r\n\r\n" % (host.encode(), port))
    return sock


def works(bridge: Program) -> bool:
    with web_server() as port, asking(bridge, port) as sock:
        sock.sendall(b"GET /again HTTP/1.0\r\nHost: it\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        return b"you requested /again" in sock.makefile("rb").read()


@pytest.mark.parametrize("state", ["accepted", "dialling"])
def test_server_killed_before_the_outcome_is_a_failure(state):
    with (
        restartable("--max-parked", "0") as (stack, jump, server, bridge),
        unresponsive() as silent,
    ):
        if state == "accepted":  # by its kernel: the server itself sends nothing
            server.process.send_signal(signal.SIGSTOP)
        with asking(bridge, silent.port) as sock:
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.settimeout(TIMEOUT_S)
            server.close()  # by SIGKILL
            assert re.match(rb"HTTP/1.1 50[234] ", sock.recv(4096))
        stack.enter_context(running("netjumper", "--listen", jump, env=ENV)).address("netjumper")
        assert works(bridge)


def test_server_killed_before_the_answer_is_a_failure():
    with running("netjumper", "--listen", "127.0.0.1:0", env=ENV) as server, target() as middle:
        jump = f"127.0.0.1:{middle.getsockname()[1]}"
        options = ("--jump", jump, "--http", "127.0.0.1:0", "--max-parked", "0")
        with running("netjumper-bridge", *options, env=ENV) as bridge, asking(bridge, 80) as sock:
            near, _ = middle.accept()
            host, _, port = server.address("netjumper").rpartition(":")
            with near, socket.create_connection((host, int(port)), TIMEOUT_S) as far:
                near.sendall(far.recv(33, socket.MSG_WAITALL))
                assert near.recv(1) == b"\x14", "the answer, which the server does not get"
                server.close()  # by SIGKILL
                assert far.recv(1) == b""
                middle.close()
            assert re.match(rb"HTTP/1.1 50[234] ", sock.recv(4096))


@pytest.mark.parametrize("ended", ["program", "target"])
def test_killed_half_closed_tunnel_is_reset_where_it_was_open(ended):
    with target() as listener, chain_running() as chain:
        with tunnelled(chain, listener.getsockname()[1]) as program:
            serving, _ = listener.accept()
            with serving:
                serving.settimeout(TIMEOUT_S)
                first, other = (program, serving) if ended == "program" else (serving, program)
                first.shutdown(socket.SHUT_WR)
                while other.recv(4096):
                    pass
                other.sendall(b"the first half, and ")
                got = b""
                while not got.endswith(b"the first half, and "):
                    got += first.recv(4096)
                chain.server.process.kill()
                with pytest.raises(ConnectionResetError):
                    first.recv(1)


@contextmanager
def answering(may_answer: threading.Event) -> Iterator[int]:
    """A target that greets, and answers when the event is set; yields its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):  # a request that was hedged
                self.request.sendall(GREETING)
                may_answer.wait(TIMEOUT_S)
                self.request.sendall(b"the answer")
                self.request.shutdown(socket.SHUT_WR)
                while self.request.recv(4096):
                    pass

    class Target(socketserver.ThreadingTCPServer):
        request_queue_size = 2 * TUNNELS

    with Target(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            may_answer.set()
            server.shutdown()
            thread.join()


def test_200_tunnels_finish_when_the_server_stops():
    may_answer = threading.Event()
    with answering(may_answer) as port, chain_running() as chain, ExitStack() as stack:
        programs = [stack.enter_context(tunnelled(chain, port)) for _ in range(TUNNELS)]
        for (
            program
        ) in programs:  # so that each has reached its target, and success was not only expected
            assert program.recv(len(GREETING), socket.MSG_WAITALL) == GREETING
        chain.server.process.send_signal(signal.SIGTERM)
        chain.server.wait_for(r"stopping: waiting up to 10 s for \d+ tunnels")
        may_answer.set()
        for program in programs:
            program.shutdown(socket.SHUT_WR)
        assert {program.makefile("rb").read() for program in programs} == {b"the answer"}
        assert chain.server.process.wait(TIMEOUT_S) == 0
        assert not any("aborted" in line for line in chain.server.lines)


def resident(program: Program, what: str) -> int:
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@contextmanager
def chain_with(mode: str, directory: Path) -> Iterator[Chain]:
    if mode != "tls":
        options = {"NETJUMPER_BANDWIDTH": "2000"} if mode == "limited" else {}
        with chain_running(options) as chain:
            yield chain
        return
    pem = directory / "server.pem"
    keygen = [Path(sys.executable).parent / "netjumper", "keygen", "--tls", pem]
    pin = subprocess.run(keygen, check=True, capture_output=True, text=True).stdout.strip()
    listeners = ["--listen-tls", "127.0.0.1:0", "--certificate-file", str(pem)]
    with running("netjumper", *listeners, env=ENV) as server:
        jump = server.wait_for(r"listening for \S+(?: with TLS)? on (\S+)")[0][1]
        options = ["--jump", f"netjumper+tls://{jump}?pin={pin}", "--socks", "127.0.0.1:0"]
        with running("netjumper-bridge", *options, env=ENV) as bridge:
            yield Chain(server, bridge, jump, bridge.address("SOCKS"), "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mode", ["clear", "tls", "limited"])
def test_program_that_never_reads_costs_no_memory(mode, tmp_path):
    sent = 0

    def send(sock: socket.socket) -> None:
        nonlocal sent
        block = memoryview(bytes(1 << 20))
        try:
            while sent < OFFERED:
                sent += sock.send(block)
        except OSError:
            return

    with target() as listener, chain_with(mode, tmp_path) as chain:
        before = [resident(it, "VmRSS") for it in (chain.server, chain.bridge)]
        with tunnelled(chain, listener.getsockname()[1]):
            serving, _ = listener.accept()
            sender = threading.Thread(target=send, args=(serving,))
            sender.start()
            last = -1
            while sent != last or not sent:  # until all buffers are full
                last = sent
                sender.join(1.0)
            grown = [resident(it, "VmHWM") for it in (chain.server, chain.bridge)]
        sender.join()
        serving.close()
    assert sent < BUFFERED
    assert all(now - then < GROWTH for now, then in zip(grown, before, strict=True))
