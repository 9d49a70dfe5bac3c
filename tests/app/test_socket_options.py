"""The options of sockets as settings: which connections have them, and what cannot be had."""

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
from tests.support.programs import PATIENCE, SECRET, installed, running
from tests.support.services import bridge_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux' options")

MAINS = {"netjumper": server.main, "netjumper-bridge": bridge.main}
NEEDED = {"netjumper": [], "netjumper-bridge": ["--jump", "127.0.0.1:1"]}
COMMANDS = pytest.mark.parametrize("name", list(MAINS))
LONG_PATH = {"congestion_control": "bbr", "fast_open": True, "mptcp": True}
USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 0)
WAY_OUT = {"mark": 7, "interface": "lo", "source": ("127.0.0.9",)}


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)


def refused(capsys, name, *arguments):
    """Return the one line that a command says which cannot start with these settings."""
    assert MAINS[name]([*NEEDED[name], *arguments, "--check"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removeprefix(f"{name}: ").rstrip("\n")


# Which connections have which.


def test_a_jump_server_has_the_long_path_behind_its_listeners_and_targets_before_it():
    both = server_options(ServerSettings(secret="x", peer_timeout=60.0, **LONG_PATH, **WAY_OUT))
    assert both.listening == SocketOptions(
        peer_timeout=60.0, loss_probe=LONG_PATH_LOSS_PROBE_S, **LONG_PATH
    )
    assert both.dialling == SocketOptions(peer_timeout=60.0, **WAY_OUT)


def test_a_bridge_has_the_long_path_before_it():
    more = {"peer_timeout": 60.0, "defer_accept": True, "embedded": True}
    both = bridge_options(BridgeSettings(**more, **LONG_PATH, **WAY_OUT))
    assert both.listening == SocketOptions(peer_timeout=60.0, defer_accept=True)
    assert both.dialling == SocketOptions(
        peer_timeout=60.0, loss_probe=LONG_PATH_LOSS_PROBE_S, **LONG_PATH, **WAY_OUT
    )


@contextlib.contextmanager
def tunnel(proxy):
    """Give the address that a target sees its tunnel come from."""
    host, _, port = proxy.rpartition(":")
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        socket.create_connection((host, int(port)), PATIENCE) as client,
    ):
        target.settimeout(PATIENCE)
        client.sendall(b"\4\1" + target.getsockname()[1].to_bytes(2) + b"\x7f\0\0\1\0")
        far, peer = target.accept()
        with far:
            assert client.recv(8, socket.MSG_WAITALL)[:2] == b"\0\x5a"
            yield peer[0]


def test_each_command_dials_from_its_source_address():
    env = {"NETJUMPER_SECRET": SECRET}
    home = ["netjumper", "--listen", "127.0.0.1:0", "--source", "127.0.0.8"]
    rented = ["netjumper-bridge", "--socks", "127.0.0.1:0", "--source", "127.0.0.9"]
    with running(*home, env=env) as at_home:
        with running(*rented, "--jump", at_home.address("netjumper"), env=env) as here:
            with tunnel(here.address("SOCKS")) as seen:
                assert seen == "127.0.0.8"
            at_home.wait_for(r"127\.0\.0\.9:\d+ -> ")


def test_an_embedded_jump_server_dials_from_the_bridges_source_address():
    command = ["netjumper-bridge", "--embedded", "--socks", "127.0.0.1:0", "--source", "127.0.0.9"]
    with running(*command) as here, tunnel(here.address("SOCKS")) as seen:
        assert seen == "127.0.0.9"


def connections(but_of_ports):
    """Return this process's TCP connections, without those that are bound to these ports."""
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, no paths
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(fd))) as sock:
            if sock.family != socket.AF_INET or not sock.getpeername():
                continue
            if sock.getsockname()[1] not in but_of_ports:
                yield keepalive(sock), sock.getsockopt(socket.IPPROTO_TCP, USER_TIMEOUT)


async def test_between_a_bridge_and_its_embedded_jump_server_peers_have_the_time_that_was_set(
    monkeypatch,
):
    looked_after = []

    class Noted(UserTimeoutSuspender):
        def __init__(self, loop, peer_timeout, served):
            looked_after.append(peer_timeout)
            super().__init__(loop, peer_timeout, served)

    monkeypatch.setattr("netjumper.sessions.manager.UserTimeoutSuspender", Noted)
    here = [ListenAddress("127.0.0.1", 0)]
    settings = BridgeSettings(embedded=True, peer_timeout=60.0, socks=here, max_parked=0)
    async with serving(echo) as target, bridge_of(settings, b"secret", None) as (service, _):
        async with service:
            with await connected(service.address_of("socks")) as client:
                port = target.address.port
                await send(client, b"\4\1" + port.to_bytes(2) + b"\x7f\0\0\1\0")
                assert (await receive_exactly(client, 8))[:2] == b"\0\x5a"
                ours = list(connections({client.getsockname()[1], port}))
    assert ours == [((1, 30, 4), 52_000)] * 4
    assert looked_after == [60.0] * 2


@pytest.mark.parametrize(
    ("flags", "more"), [(["--source", "127.0.0.9"], {}), ([], {"NETJUMPER_SOURCE": "127.0.0.9"})]
)
def test_what_tries_the_way_to_the_jump_host_goes_the_same_way(flags, more):
    env = {"NETJUMPER_SECRET": SECRET}
    home = ["netjumper", "--listen", "127.0.0.1:0"]
    with programs.web_server() as port, running(*home, env=env) as at_home:
        doctor = [installed("netjumper-bridge"), "doctor", "--jump", at_home.address("netjumper")]
        done = programs.run([*doctor, *flags, f"127.0.0.1:{port}"], env | more)
        assert done.returncode == 0, done.stdout
        at_home.wait_for(rf"127\.0\.0\.9:\d+ -> 127\.0\.0\.1:{port}")


@pytest.mark.needs("curl")
def test_a_chain_with_all_of_it_works(tmp_path):
    with socket.socket() as sock:
        control = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    both = ["--congestion-control", control.rstrip(b"\0").decode(), "--peer-timeout", "60"]
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
        both.append("--mptcp")
    env = {"NETJUMPER_SECRET": SECRET}
    with (
        programs.web_server() as port,
        running("netjumper", "--listen", "127.0.0.1:0", *both, env=env) as at_home,
        running(
            "netjumper-bridge", "--jump", at_home.address("netjumper"), "--mixed", "127.0.0.1:0",
            "--interface", "lo", "--defer-accept", *both, env=env,
        ) as here,
    ):  # fmt: skip
        proxy = here.address("SOCKS and HTTP")
        got = tmp_path / "got"
        url = f"http://127.0.0.1:{port}/blocks/8"
        done = programs.run(["curl", "-sS", "--socks5-hostname", proxy, "-o", str(got), url])
        assert done.returncode == 0, done.stderr
        assert got.read_bytes() == b"".join(programs.numbered_blocks(8))
        assert (here.stop(), at_home.stop()) == (0, 0)


# What cannot be had.


@COMMANDS
def test_what_cannot_be_had_is_told_with_the_place_that_asks_for_it(name, capsys, monkeypatch):
    told = refused(capsys, name, "--congestion-control", "nonsense")
    assert told.startswith("--congestion-control: this kernel has no 'nonsense'; there are ")
    told = refused(capsys, name, "--source", "2001:db8::1")
    assert told == "--source: 2001:db8::1: this machine does not have that address"
    monkeypatch.setenv("NETJUMPER_INTERFACE", "nonsense0")
    told = refused(capsys, name)
    assert told.startswith("environment variable NETJUMPER_INTERFACE: there is no interface")


def test_neither_exec_nor_doctor_begin_with_what_cannot_be_had(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_INTERFACE", "nonsense0")
    jump = ["--jump", "127.0.0.1:1"]
    assert bridge.main(["exec", *jump, "--", "true"]) == 2
    assert bridge.main(["doctor", *jump]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all("there is no interface 'nonsense0'" in line for line in told)


async def test_a_deep_healthcheck_takes_the_options_of_the_way_out(capsys):
    async with bridge_running(closed_port()) as here:
        door = ["--socks", here.address_of("socks"), "--jump", "127.0.0.1:1"]
        arguments = ["healthcheck", *door, "--deep", "--interface", "nonsense0"]
        assert await asyncio.to_thread(bridge.main, arguments) == 1
    assert "--interface: there is no interface 'nonsense0'" in capsys.readouterr().err


@COMMANDS
@pytest.mark.parametrize(
    ("arguments", "told"),
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
def test_what_makes_no_sense_is_told_with_what_would(name, arguments, told, capsys):
    assert refused(capsys, name, *arguments).startswith(told)
