"""The installed commands: pages fetched with curl, their messages, and how they end."""

import contextlib
import json
import re
import signal
import socket
import subprocess

import pytest

from tests.support import programs
from tests.support.programs import TIMEOUT_S, installed, running, web_server

EMBEDDED = ["netjumper-bridge", "--embedded", "--socks", "127.0.0.1:0"]
SECRET = {"NETJUMPER_SECRET": "s3cret-of-18-bytes"}


def fetch(*arguments):
    return programs.run(["curl", "-sS", "--fail", *arguments])


def hostport(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


class Target:
    """The target of a tunnel, controlled by the test."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.listener.settimeout(TIMEOUT_S)

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(TIMEOUT_S)
        return connection


@pytest.fixture
def target():
    made = Target()
    with made.listener:
        yield made


@contextlib.contextmanager
def tunnel(proxy, target):
    """Open a tunnel with SOCKS4, send bytes through it, and yield both ends."""
    host, port = target.address
    with socket.create_connection(hostport(proxy), TIMEOUT_S) as client:
        client.sendall(b"\4\1" + port.to_bytes(2) + socket.inet_aton(host) + b"\0")
        with target.accept() as far:
            assert client.recv(8)[:2] == b"\0\x5a"
            client.sendall(b"ping")
            assert far.recv(4) == b"ping"
            yield client, far


@pytest.mark.needs("curl")
def test_curl_fetches_through_an_embedded_bridge_on_an_ephemeral_port():
    with web_server() as port, running(*EMBEDDED) as bridge:
        proxy = bridge.address("SOCKS")
        done = fetch("--socks5-hostname", proxy, f"http://127.0.0.1:{port}/page")
        bridge.wait_for(rf"INFO 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:{port}: up \d+ down \d+ bytes")
        assert bridge.stop() == 0
    assert done.stderr == b""
    assert b"you requested /page" in done.stdout
    assert sum("-> " in line for line in bridge.lines) == 1


@pytest.mark.needs("curl")
def test_embedded_bridge_refuses_itself_as_a_target():
    with running(*EMBEDDED) as bridge:
        proxy = bridge.address("SOCKS")
        done = fetch("--socks5-hostname", proxy, f"http://{proxy}/")
        bridge.wait_for(
            f"{proxy}: up .*TargetDenied.*the target is this jump server, not permitted"
        )
    assert b"(2)" in done.stderr  # RFC 1928: connection not allowed by ruleset


@pytest.mark.needs("curl")
def test_jump_server_dials_allowed_targets_and_reports_refused_ones():
    home = {"NETJUMPER_ALLOW": "127.0.0.2"}
    with web_server() as port, programs.chain_running(home) as chain:
        done = fetch("--proxy", f"http://{chain.http}", f"http://127.0.0.1:{port}/")
        assert b"error: 403" in done.stderr
        done = fetch("--socks5-hostname", chain.socks, f"http://127.0.0.1:{port}/")
        assert b"(2)" in done.stderr
        chain.server.wait_for("WARNING .*TargetDenied: .*not permitted", 2)


@pytest.mark.needs("curl")
def test_curl_fetches_through_two_processes_on_unix_and_tcp_sockets(tmp_path, private):
    secret = private("secret", "s3cret-of-18-bytes\n")
    users = private("users", "alice:wonder\n")
    with (
        web_server() as port,
        running("netjumper", "--listen", "127.0.0.1:0", "--secret-file", str(secret)) as server,
        running(
            "netjumper-bridge",
            "--jump", server.address("netjumper"),
            "--secret-file", str(secret),
            "--mixed", "127.0.0.1:0",
            "--http", f"unix:{tmp_path}/http",
            "--auth-file", str(users),
        ) as bridge,
    ):  # fmt: skip
        bridge.wait_for(f"listening for HTTP on unix:{tmp_path}/http")
        bridge.wait_for(f"through jump host {server.address('netjumper')}")
        proxy = bridge.address("SOCKS and HTTP")
        url = f"http://127.0.0.1:{port}/"
        right = fetch("--socks5-hostname", proxy, "--proxy-user", "alice:wonder", url)
        wrong = fetch("--socks5-hostname", proxy, "--proxy-user", "alice:land", url)
        assert (bridge.stop(), server.stop()) == (0, 0)
    assert b"you requested /" in right.stdout
    assert wrong.returncode != 0
    assert not [line for line in server.lines + bridge.lines if "wonder" in line or "s3c" in line]


def test_arguments_of_the_original_server_are_accepted():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running("netjumper", str(port), "superBigSecret") as server:
        assert hostport(server.address("netjumper"))[1] == port
        server.wait_for("WARNING the secret is on the command line")
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
            assert client.recv(1) == b"\x20"  # the challenge's length
        assert server.stop() == 0
    assert not [line for line in server.lines if "superBigSecret" in line]


@pytest.mark.needs("curl")
def test_every_line_of_a_json_log_is_json():
    with web_server() as port, running(*EMBEDDED, "--log-format", "json") as bridge:
        proxy = bridge.address(r"SOCKS")[:-2]  # the rest of the JSON
        fetch("--socks5-hostname", proxy.split('"')[0], f"http://127.0.0.1:{port}/")
        bridge.wait_for('"bytes_down"')
        bridge.stop()
    entries = [json.loads(line) for line in bridge.lines]
    (end,) = [entry for entry in entries if entry["logger"] == "netjumper.access"]
    assert end["target"] == f"127.0.0.1:{port}"
    assert end["bytes_down"] > 0
    assert end["failed"] is False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_lets_tunnels_end_and_refuses_new_ones(number, target):
    with running(*EMBEDDED) as bridge, tunnel(bridge.address("SOCKS"), target) as (client, far):
        bridge.process.send_signal(number)
        bridge.wait_for(r"stopping: waiting up to 10 s for 1 tunnel; a second signal aborts them")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(hostport(bridge.address("SOCKS")), TIMEOUT_S)
        client.sendall(b"still")
        client.shutdown(socket.SHUT_WR)
        assert far.recv(5) == b"still"
        assert far.recv(1) == b""
        far.sendall(b"here")
        far.close()
        assert client.recv(4) == b"here"
        assert client.recv(1) == b""
        assert bridge.process.wait(TIMEOUT_S) == 0
    assert bridge.lines[-1].endswith(", closed")


def test_second_signal_aborts_open_tunnels(target):
    command = [*EMBEDDED, "--grace-period", "3600"]
    with running(*command) as bridge, tunnel(bridge.address("SOCKS"), target) as (client, far):
        bridge.process.terminate()
        bridge.wait_for("stopping: waiting up to 3600 s for 1 tunnel")
        bridge.process.terminate()
        assert bridge.process.wait(TIMEOUT_S) == 0
        for end in (client, far):
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        bridge.wait_for("WARNING aborted 1 tunnel")


def test_tunnels_are_aborted_after_the_grace_period(target):
    command = [*EMBEDDED, "--grace-period", "0.2"]
    with running(*command) as bridge, tunnel(bridge.address("SOCKS"), target):
        bridge.process.terminate()
        bridge.wait_for("stopping: waiting up to 0.2 s for 1 tunnel")
        assert bridge.process.wait(TIMEOUT_S) == 0
        bridge.wait_for("WARNING aborted 1 tunnel")


def test_tunnels_are_aborted_without_a_grace_period(target):
    command = [*EMBEDDED, "--grace-period", "0"]
    with running(*command) as bridge, tunnel(bridge.address("SOCKS"), target):
        assert bridge.stop() == 0
    assert any(line.endswith("stopping: 1 tunnel open") for line in bridge.lines)


def test_stop_does_not_wait_for_a_connection_without_a_request():
    with running("netjumper", "--listen", "127.0.0.1:0", env=SECRET) as server:
        host = hostport(server.address("netjumper"))
        with socket.create_connection(host, TIMEOUT_S) as client:
            assert client.recv(33)
            assert server.stop() == 0
    assert any("stopping: 0 tunnels open" in line for line in server.lines)


@pytest.mark.needs("curl")
def test_bridge_keeps_serving_after_its_log_is_closed():
    with web_server() as port:
        bridge = subprocess.Popen(
            [installed(EMBEDDED[0]), *EMBEDDED[1:]],
            stderr=subprocess.PIPE,
            env=programs.clean_environment(),
            text=True,
        )
        assert bridge.stderr is not None
        with bridge:
            proxy = re.search(r"SOCKS on (\S+)", bridge.stderr.readline())[1]
            bridge.stderr.close()
            for _ in range(3):
                done = fetch("--socks5-hostname", proxy, f"http://127.0.0.1:{port}/")
                assert done.returncode == 0
            bridge.terminate()
            assert bridge.wait(TIMEOUT_S) == 0
