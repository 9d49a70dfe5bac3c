"""Socket activation (sd_listen_fds(3)): sockets passed to the installed commands."""

import os
import socket
import sys

import pytest

from netjumper.daemon import sd_notify, socket_activation
from tests.support import programs
from tests.support.programs import TIMEOUT_S, installed
from tests.support.systemd import EMBEDDED, SERVER, activated, run_inheriting


@pytest.fixture
def target():
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(TIMEOUT_S)
        yield made


def connected(listener):
    sock = socket.socket(listener.family)
    sock.settimeout(TIMEOUT_S)
    sock.connect(listener.getsockname())
    return sock


def socks4(target):
    host, port = target.getsockname()
    return b"\4\1" + port.to_bytes(2) + socket.inet_aton(host) + b"\0"


def goes_through(client, target):
    """Return whether a tunnel to the target is established."""
    far, _ = target.accept()
    with far:
        assert client.recv(8, socket.MSG_WAITALL)[:2] == b"\0\x5a"
        client.sendall(b"ping")
        return far.recv(4) == b"ping"


def test_connection_from_before_the_bridge_started_is_served(listener, target):
    with connected(listener) as early:
        early.sendall(socks4(target))
        with activated(EMBEDDED, listener, names="socks") as bridge:
            assert goes_through(early, target)
            early.close()
            with connected(listener) as later:
                later.sendall(socks4(target))
                assert goes_through(later, target)
            port = listener.getsockname()[1]
            assert bridge.address("SOCKS") == f"127.0.0.1:{port}"
            assert bridge.stop() == 0


def test_connection_from_before_the_server_started_is_challenged(listener):
    with connected(listener) as early, activated(SERVER, listener, names="whatever") as server:
        assert early.recv(1) == b"\x20"  # the challenge's length
        server.wait_for("listening for netjumper on 127")
        assert server.stop() == 0


def test_connection_from_between_two_runs_is_served_by_the_next(listener, target):
    with activated(EMBEDDED, listener, names="socks") as first:
        first.address("SOCKS")
        assert first.stop() == 0
    with connected(listener) as between:
        between.sendall(socks4(target))
        with activated(EMBEDDED, listener, names="socks"):
            assert goes_through(between, target)


def test_connection_accepted_before_the_stop_gets_its_tunnel(listener, target):
    with activated(EMBEDDED, listener, names="socks") as bridge, connected(listener) as client:
        client.sendall(b"\5\1\0")
        assert client.recv(2) == b"\5\0"
        bridge.process.terminate()
        bridge.wait_for("stopping: 0 tunnels open")
        host, port = target.getsockname()
        client.sendall(b"\5\1\0\1" + socket.inet_aton(host) + port.to_bytes(2))
        far, _ = target.accept()
        with far:
            assert client.recv(10, socket.MSG_WAITALL)[:2] == b"\5\0"
            client.sendall(b"ping")
            assert far.recv(4) == b"ping"
        client.close()
        assert bridge.process.wait(TIMEOUT_S) == 0


def test_each_socket_has_the_protocol_of_its_name(listener, target):
    with (
        socket.create_server(("127.0.0.1", 0)) as http,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as mixed,
        activated(EMBEDDED, listener, http, mixed, names="socks:http:mixed") as bridge,
    ):
        assert bridge.address("HTTP").endswith(f":{http.getsockname()[1]}")
        assert bridge.address("SOCKS and HTTP") == f"[::1]:{mixed.getsockname()[1]}"
        with connected(http) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 400"
        for it in (listener, mixed):
            with connected(it) as client:
                client.sendall(socks4(target))
                assert goes_through(client, target)


def test_bridge_addresses_are_unused_with_inherited_sockets(listener):
    with activated([*EMBEDDED, "--http", "127.0.0.1:0"], listener, names="socks") as bridge:
        bridge.wait_for("WARNING --http: unused, since the service manager opens the sockets")
        bridge.wait_for("INFO the service manager opened the sockets")
        bridge.wait_for("through a jump server in this process")
        assert sum("listening for" in line for line in bridge.lines) == 1


def test_default_addresses_cause_no_warning(listener):
    with activated(SERVER, listener) as server:
        server.wait_for("listening for netjumper on 127")
        assert not [line for line in server.lines if "WARNING" in line]


def test_server_address_is_unused_with_inherited_sockets(listener):
    with activated([*SERVER, "--listen", "127.0.0.1:0"], listener) as server:
        server.wait_for("WARNING --listen: unused, since the service manager opens the sockets")
        server.wait_for("try: netjumper-bridge")
        assert sum("listening for" in line for line in server.lines) == 1


def test_file_of_an_inherited_unix_socket_is_kept(tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        made.listen()
        with activated(SERVER, made) as server, connected(made) as client:
            assert client.recv(1) == b"\x20"
            server.wait_for(f"listening for netjumper on unix:{path}$")
            assert server.stop() == 0
    assert path.is_socket()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux only")
def test_abstract_unix_socket_is_served():
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"\0netjumper-{os.getpid()}")
        made.listen()
        with activated(SERVER, made) as server, connected(made) as client:
            assert client.recv(1) == b"\x20"
            server.wait_for(f"listening for netjumper on unix:@netjumper-{os.getpid()}$")
            assert server.stop() == 0


# --- the variables -------------------------------------------------------------------------


def test_sockets_for_another_process_are_ignored(listener):
    command = [*SERVER, "--listen", "127.0.0.1:0"]
    with activated(command, listener, LISTEN_PID="1") as server:
        port = listener.getsockname()[1]
        assert server.address("netjumper") != f"127.0.0.1:{port}"
        assert not [line for line in server.lines if "service manager" in line]


def test_children_inherit_neither_sockets_nor_variables(listener):
    look = (
        "(name, sock), = found\n"
        "variables = [it for it in os.environ if 'LISTEN' in it]\n"
        "print(name, os.get_inheritable(3), sock.getblocking(), variables)"
    )
    assert run_inheriting(look, listener, names="name") == "name False False []"


def test_program_under_exec_gets_no_manager_variables():
    names = [*socket_activation.LISTEN_VARIABLES, *sd_notify.NOTIFY_VARIABLES]
    look = "import os; print([it for it in os.environ if re.match('LISTEN|NOTIFY|WATCHDOG', it)])"
    bridge = installed(EMBEDDED[0])
    command = [bridge, "exec", "--embedded", "--", sys.executable, "-c", f"import re; {look}"]
    done = programs.run(command, dict.fromkeys(names, "1"))
    assert done.stdout == b"[]\n", done.stderr
