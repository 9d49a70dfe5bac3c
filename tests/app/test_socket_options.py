"""The options of sockets as settings: which connections have them, and what is unavailable."""

import asyncio
import contextlib
import os
import socket
import sys

import pytest

from netjumper.addressing.listen_address import ListenAddress
from netjumper.app.bridge import bridge_of
from netjumper.app.socket_options import bridge_options, server_options
from netjumper.cli import bridge, server
from netjumper.net.congestion_control import chosen
from netjumper.net.socket_options import LONG_PATH_LOSS_PROBE_S, SocketOptions
from netjumper.net.user_timeout import UserTimeoutSuspender
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.server import ServerSettings
from tests.support import programs
from tests.support.peers import (
    closed_port,
    connected,
    echo,
    keepalive,
    receive_exactly,
    send,
    serving,
)
from tests.support.programs import SECRET, TIMEOUT_S, installed, running
from tests.support.services import bridge_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux' options")

MAINS = {"netjumper": server.main, "netjumper-bridge": bridge.main}
NEEDED = {"netjumper": [], "netjumper-bridge": ["--jump", "127.0.0.1:1"]}
COMMANDS = pytest.mark.parametrize("name", list(MAINS))
LONG_PATH = {"congestion_control": "bbr", "fast_open": True, "mptcp": True}
USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 0)
OUTGOING = {"mark": 7, "interface": "lo", "source": ("127.0.0.9",)}


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)


def refused(capsys, name, *arguments):
    """Return the one line with which a command refuses these settings."""
    assert MAINS[name]([*NEEDED[name], *arguments, "--check"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removeprefix(f"{name}: ").rstrip("\n")


# Which connections have which options.


def test_long_path_has_the_best_congestion_control_by_default():
    at_home = server_options(ServerSettings(secret="x"))
    rented = bridge_options(BridgeSettings(jump=("127.0.0.1:1",), secret="x" * 16))
    best = chosen("auto")
    assert at_home.listening.congestion_control == rented.dialling.congestion_control == best
    assert at_home.dialling.congestion_control == rented.listening.congestion_control == ""


def test_jump_server_options_differ_for_listeners_and_targets():
    options = server_options(ServerSettings(secret="x", peer_timeout=60.0, **LONG_PATH, **OUTGOING))
    assert options.listening == SocketOptions(
        peer_timeout=60.0, loss_probe=LONG_PATH_LOSS_PROBE_S, **LONG_PATH
    )
    assert options.dialling == SocketOptions(peer_timeout=60.0, **OUTGOING)


def test_bridge_options_differ_for_listeners_and_jump_hosts():
    values = {"peer_timeout": 60.0, "defer_accept": True, "embedded": True}
    options = bridge_options(BridgeSettings(**values, **LONG_PATH, **OUTGOING))
    assert options.listening == SocketOptions(peer_timeout=60.0, defer_accept=True)
    assert options.dialling == SocketOptions(
        peer_timeout=60.0, loss_probe=LONG_PATH_LOSS_PROBE_S, **LONG_PATH, **OUTGOING
    )


@contextlib.contextmanager
def tunnel(proxy):
    """Yield the source address that a target sees of its tunnel."""
    host, _, port = proxy.rpartition(":")
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        socket.create_connection((host, int(port)), TIMEOUT_S) as client,
    ):
        target.settimeout(TIMEOUT_S)
        client.sendall(b"\4\1" + target.getsockname()[1].to_bytes(2) + b"\x7f\0\0\1\0")
        connection, peer = target.accept()
        with connection:
            assert client.recv(8, socket.MSG_WAITALL)[:2] == b"\0\x5a"
            yield peer[0]


def test_each_command_dials_from_its_source_address():
    env = {"NETJUMPER_SECRET": SECRET}
    server_command = ["netjumper", "--listen", "127.0.0.1:0", "--source", "127.0.0.8"]
    bridge_command = ["netjumper-bridge", "--socks", "127.0.0.1:0", "--source", "127.0.0.9"]
    with running(*server_command, env=env) as jump_server:
        bridge_command += ["--jump", jump_server.address("netjumper")]
        with running(*bridge_command, env=env) as local_bridge:
            with tunnel(local_bridge.address("SOCKS")) as source:
                assert source == "127.0.0.8"
            jump_server.wait_for(r"127\.0\.0\.9:\d+ -> ")


def test_embedded_jump_server_dials_from_the_source_address():
    command = ["netjumper-bridge", "--embedded", "--socks", "127.0.0.1:0", "--source", "127.0.0.9"]
    with running(*command) as local_bridge, tunnel(local_bridge.address("SOCKS")) as source:
        assert source == "127.0.0.9"


def connections(excluded_ports):
    """Yield the timeouts of this process's TCP connections, except those on these ports."""
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, no paths
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(fd))) as sock:
            if sock.family != socket.AF_INET or not sock.getpeername():
                continue
            if sock.getsockname()[1] not in excluded_ports:
                yield keepalive(sock), sock.getsockopt(socket.IPPROTO_TCP, USER_TIMEOUT)


async def test_embedded_jump_server_uses_the_peer_timeout(
    monkeypatch,
):
    peer_timeouts = []

    class RecordingSuspender(UserTimeoutSuspender):
        def __init__(self, loop, peer_timeout, served):
            peer_timeouts.append(peer_timeout)
            super().__init__(loop, peer_timeout, served)

    monkeypatch.setattr("netjumper.sessions.manager.UserTimeoutSuspender", RecordingSuspender)
    listen = [ListenAddress("127.0.0.1", 0)]
    settings = BridgeSettings(embedded=True, peer_timeout=60.0, socks=listen, max_parked=0)
    async with serving(echo) as target, bridge_of(settings, b"secret", None) as (service, _):
        async with service:
            with await connected(service.address_of("socks")) as client:
                port = target.address.port
                await send(client, b"\4\1" + port.to_bytes(2) + b"\x7f\0\0\1\0")
                assert (await receive_exactly(client, 8))[:2] == b"\0\x5a"
                options = list(connections({client.getsockname()[1], port}))
    assert options == [((1, 30, 4), 52_000)] * 4
    assert peer_timeouts == [60.0] * 2


@pytest.mark.parametrize(
    ("flags", "env"),
    [(["--source", "127.0.0.9"], {}), ([], {"NETJUMPER_SOURCE": "127.0.0.9"})],
)
def test_doctor_dials_from_the_source_address(flags, env):
    secret = {"NETJUMPER_SECRET": SECRET}
    server_command = ["netjumper", "--listen", "127.0.0.1:0"]
    with programs.web_server() as port, running(*server_command, env=secret) as jump_server:
        words = ["doctor", "--jump", jump_server.address("netjumper"), *flags]
        command = [installed("netjumper-bridge"), *words, f"127.0.0.1:{port}"]
        done = programs.run(command, secret | env)
        assert done.returncode == 0, done.stdout
        jump_server.wait_for(rf"127\.0\.0\.9:\d+ -> 127\.0\.0\.1:{port}")


@pytest.mark.needs("curl")
def test_all_socket_options_work_together(tmp_path):
    with socket.socket() as sock:
        control = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    options = ["--congestion-control", control.rstrip(b"\0").decode(), "--peer-timeout", "60"]
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
        options.append("--mptcp")
    env = {"NETJUMPER_SECRET": SECRET}
    with (
        programs.web_server() as port,
        running("netjumper", "--listen", "127.0.0.1:0", *options, env=env) as jump_server,
        running(
            "netjumper-bridge", "--jump", jump_server.address("netjumper"),
            "--mixed", "127.0.0.1:0", "--interface", "lo", "--defer-accept", *options, env=env,
        ) as local_bridge,
    ):  # fmt: skip
        proxy = local_bridge.address("SOCKS and HTTP")
        received = tmp_path / "got"
        url = f"http://127.0.0.1:{port}/blocks/8"
        done = programs.run(["curl", "-sS", "--socks5-hostname", proxy, "-o", str(received), url])
        assert done.returncode == 0, done.stderr
        assert received.read_bytes() == b"".join(programs.numbered_blocks(8))
        assert (local_bridge.stop(), jump_server.stop()) == (0, 0)


# Unavailable and invalid options.


@COMMANDS
def test_unavailable_option_is_reported_with_its_origin(name, capsys, monkeypatch):
    message = refused(capsys, name, "--congestion-control", "nonsense")
    assert message.startswith(
        "--congestion-control: this kernel has no congestion control 'nonsense', only "
    )
    message = refused(capsys, name, "--source", "2001:db8::1")
    assert message == "--source: 2001:db8::1: this machine does not have that address"
    monkeypatch.setenv("NETJUMPER_INTERFACE", "nonsense0")
    message = refused(capsys, name)
    assert message.startswith("environment variable NETJUMPER_INTERFACE: unknown interface")


def test_exec_and_doctor_refuse_an_unavailable_option(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_INTERFACE", "nonsense0")
    jump = ["--jump", "127.0.0.1:1"]
    assert bridge.main(["exec", *jump, "--", "true"]) == 2
    assert bridge.main(["doctor", *jump]) == 2
    message = capsys.readouterr().err.splitlines()
    assert len(message) == 2
    assert all("unknown interface 'nonsense0'" in line for line in message)


async def test_deep_healthcheck_uses_the_outgoing_socket_options(capsys):
    async with bridge_running(closed_port()) as local_bridge:
        listener = ["--socks", local_bridge.address_of("socks"), "--jump", "127.0.0.1:1"]
        arguments = ["healthcheck", *listener, "--deep", "--interface", "nonsense0"]
        assert await asyncio.to_thread(bridge.main, arguments) == 1
    assert "--interface: unknown interface 'nonsense0'" in capsys.readouterr().err


@COMMANDS
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "home"], "--source: 'home' is not an IP address; expected "),
        (
            ["--source", "::1", "--source", "::2"],
            "--source: more than one address of the same family; ",
        ),
        (["--mark", "-1"], "--mark: expected a whole number from 0 to 4294967295, not -1"),
        (["--interface", "x" * 16], "--interface: expected a name of at most 15 bytes, not "),
        (["--peer-timeout", "nan"], "--peer-timeout: expected a number of seconds from 0 to 3600"),
        (["--peer-timeout", "-1"], "--peer-timeout: expected a number of seconds from 0 to 3600"),
    ],
)
def test_invalid_option_is_reported_with_what_is_valid(name, arguments, message, capsys):
    assert refused(capsys, name, *arguments).startswith(message)
