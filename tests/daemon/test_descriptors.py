"""Commands without free descriptors: they wait, report it, and keep serving."""

import contextlib
import os
import re
import resource
import socket
import sys
import time
from pathlib import Path

import pytest

import netjumper
from netjumper.daemon.descriptors import descriptor_warning, max_descriptors
from tests.support.programs import SECRET, TIMEOUT_S, installed, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

ENV = {"NETJUMPER_SECRET": SECRET}
SERVER = ["netjumper", "--listen", "127.0.0.1:0", "--listen", "[::1]:0"]
BRIDGE = ["netjumper-bridge", "--http", "127.0.0.1:0"]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ACCEPT_ERROR = "ERROR cannot accept connections on .* for 1 s: Too many open files"


def hostport(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def connected(address):
    return socket.create_connection(hostport(address), TIMEOUT_S)


@contextlib.contextmanager
def room_for(program, count):
    """Let a program open `count` more descriptors within this context."""
    pid = program.process.pid
    used = {int(it.name) for it in Path(f"/proc/{pid}/fd").iterdir()}
    limit = 0
    while count or limit in used or used - set(range(limit)):
        count -= limit not in used and bool(count)
        limit += 1
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


def cpu_time(pid):
    """Return the CPU time of a process in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@contextlib.contextmanager
def target():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        yield listener


def named(listener):
    return f"127.0.0.1:{listener.getsockname()[1]}"


def answer_to_connect(proxy, where):
    with connected(proxy) as sock:
        sock.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        with sock.makefile("rb") as file:
            head = file.readline().decode()
            return head + (file.read().decode() if " 200 " not in head else "")


def test_jump_server_without_descriptors_logs_each_second_and_keeps_tunnels():
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(*SERVER, env=ENV))
        addresses = [it[1] for it in server.wait_for(r"listening for netjumper on (\S+)", 2)]
        listener = stack.enter_context(target())
        tunnel = stack.enter_context(
            netjumper.Jumper(addresses[0], SECRET).connect(named(listener))
        )
        far = stack.enter_context(listener.accept()[0])
        with room_for(server, 0):
            waiting = [
                stack.enter_context(connected(bridge_address)) for bridge_address in addresses * 5
            ]
            server.wait_for(ACCEPT_ERROR)
            began, cpu_before = time.monotonic(), cpu_time(server.process.pid)
            server.wait_for(ACCEPT_ERROR, 3)
            seconds = time.monotonic() - began
            assert cpu_time(server.process.pid) - cpu_before < 0.05 * seconds
            assert len([it for it in server.lines if re.search(ACCEPT_ERROR, it)]) <= 2 + seconds
            tunnel.sendall(b"still here")
            assert far.recv(100) == b"still here"
        for sock in waiting:
            assert sock.recv(1) == b"\x20"  # the challenge's length


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_jump_server_without_a_descriptor_for_the_target_reports_it(name):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(*SERVER, env=ENV))
        listener = stack.enter_context(target())
        jump, where = server.address("netjumper"), f"{name}:{listener.getsockname()[1]}"
        bridge = stack.enter_context(running(*BRIDGE, "--jump", jump, "--max-parked", "0", env=ENV))
        bridge_address = bridge.address("HTTP")
        with room_for(server, 1):
            message = answer_to_connect(bridge_address, where)
        assert message.startswith("HTTP/1.1 503 ")
        assert "The jump server lacks the resources" in message
        assert message.endswith("too many open files\n")
        server.wait_for(f"{where}: .*OutOfResources: .*: socket: too many open files")
        assert " 200 " in answer_to_connect(bridge_address, where)


def test_bridge_without_descriptors_reports_its_own_machine():
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(*SERVER, env=ENV))
        listener = stack.enter_context(target())
        jump = server.address("netjumper")
        bridge = stack.enter_context(running(*BRIDGE, "--jump", jump, "--max-parked", "0", env=ENV))
        bridge_address = bridge.address("HTTP")
        with room_for(bridge, 1):
            message = answer_to_connect(bridge_address, named(listener))
        assert message.startswith("HTTP/1.1 503 ")
        assert message.endswith(f"jump host {jump}: too many open files on this machine\n")
        assert " 200 " in answer_to_connect(bridge_address, named(listener))


def test_embedded_bridge_without_descriptors_refuses_and_continues():
    with contextlib.ExitStack() as stack:
        bridge = stack.enter_context(running(*BRIDGE, "--embedded", env={}))
        listener = stack.enter_context(target())
        bridge_address, where = bridge.address("HTTP"), named(listener)
        began = time.monotonic()
        with room_for(bridge, 20):
            socks = [stack.enter_context(connected(bridge_address)) for _ in range(40)]
            for sock in socks:
                sock.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
            heads = []
            for sock in socks:
                heads.append(sock.recv(12))
                sock.close()
        assert time.monotonic() - began < 10  # no connection waited for a deadline
        assert {head.split()[1] for head in heads} <= {b"200", b"502", b"503", b"504"}
        assert " 200 " in answer_to_connect(bridge_address, where)


def test_small_limit_is_reported_with_the_tunnels_it_allows():
    shell = ["/bin/sh", "-c", 'ulimit -n 100; exec "$0" "$@"']
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(*shell, installed(SERVER[0]), *SERVER[1:], env=ENV))
        server.wait_for(
            "WARNING only 100 descriptors can be open at a time, enough for 50 tunnels at most; "
            "raise the limit"
        )
        bridge = stack.enter_context(
            running(*shell, installed(BRIDGE[0]), *BRIDGE[1:], "--embedded", env={})
        )
        bridge.wait_for("enough for 25 tunnels")


def test_usual_limit_is_not_reported():
    with running(*SERVER, env=ENV) as server:
        server.address("netjumper")
        assert not [it for it in server.lines if "descriptors" in it]


def test_platform_without_limits_has_no_warning(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert descriptor_warning(2) == ""


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ((1024, 4096), 4096),
        ((1024, resource.RLIM_INFINITY), 1024),  # macOS
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_maximum_is_what_the_limit_can_be_raised_to(monkeypatch, limits, most):
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    assert max_descriptors() == most


def test_silent_connections_take_only_a_part_of_few_descriptors():
    shell = ["/bin/sh", "-c", 'ulimit -n 64; exec "$0" "$@"']
    with running(*shell, installed(SERVER[0]), *SERVER[1:], env=ENV) as server:
        address = server.address("netjumper")
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(connected(address))
            server.wait_for("16 unauthenticated connections: closed the oldest")
            with connected(address) as good:
                assert len(good.recv(33, socket.MSG_WAITALL)) == 33
