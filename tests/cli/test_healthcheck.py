"""`healthcheck` of both commands: its line and exit code for real services and for others."""

import asyncio
import logging

import pytest

from netjumper.addressing.listen_address import ListenAddress
from netjumper.bridge.bridge import bridge as make_bridge
from netjumper.bridge.credentials import Credentials
from netjumper.cli import bridge, server
from netjumper.client.jump_host import JumpHost
from netjumper.net.dialer import Dialer
from netjumper.sessions.admission import AdmissionLimits
from tests.support.healthchecks import healthcheck
from tests.support.peers import (
    black_hole,
    closed_port,
    eventually,
    serving,
    speak_first,
    unresponsive,
)
from tests.support.scripted_peer import Step, scripted
from tests.support.services import SECRET, bridge_running, jump_server_running, running_service
from tests.support.tls_pair import sides_of


async def test_bridge_is_healthy_if_all_listeners_answer(capsys, tmp_path):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listeners = dict(service.listening)
        flags = [word for name, address in listeners.items() for word in (f"--{name}", address)]
        code, line = await healthcheck(capsys, *flags)
    assert code == 0
    assert line == (
        f"healthy: SOCKS on {listeners['socks']}, HTTP on {listeners['http']}, "
        f"SOCKS on {listeners['mixed']}, HTTP on {listeners['mixed']}"
    )


async def test_healthcheck_opens_no_tunnel(capsys):
    async with jump_server_running() as (server, jump), bridge_running(jump) as service:
        server.stop_accepting()  # a tunnel would be refused
        code, _ = await healthcheck(capsys, "--mixed", service.address_of("mixed"))
    assert code == 0


async def test_bridge_with_a_password_is_checked_without_it(capsys):
    credentials = Credentials({"me": "s3cret-of-18-bytes"})
    async with (
        jump_server_running() as (_, jump),
        bridge_running(jump, credentials=credentials) as service,
    ):
        code, _ = await healthcheck(capsys, "--mixed", service.address_of("mixed"))
    assert code == 0


async def test_bridge_on_a_unix_socket_is_checked(capsys, tmp_path):
    loop = asyncio.get_running_loop()
    address = f"unix:{tmp_path}/b"
    upstream = JumpHost(loop, closed_port(), SECRET, Dialer(loop, timeout=5.0), 5.0)
    async with running_service(make_bridge(upstream=upstream, http=[ListenAddress.parse(address)])):
        code, line = await healthcheck(capsys, "--http", address)
    assert (code, line) == (0, f"healthy: HTTP on {address}")
    code, line = await healthcheck(capsys, "--http", address)
    assert code == 1
    assert line.startswith(f"netjumper-bridge: HTTP on {address}: ")


@pytest.mark.parametrize("listener", ["socks", "http", "mixed"])
async def test_closed_port_is_unhealthy(listener, capsys):
    closed = closed_port()
    code, line = await healthcheck(capsys, f"--{listener}", str(closed))
    assert code == 1
    assert line.endswith(f" on {closed}: Connection refused")


@pytest.mark.parametrize("listener", ["socks", "http"])
async def test_silent_listener_is_unhealthy(listener, capsys):
    async with serving(black_hole) as peer:
        code, line = await healthcheck(
            capsys, f"--{listener}", str(peer.address), "--dial-timeout", "0.2"
        )
    assert code == 1
    assert line.endswith(f"{listener.upper()} on {peer.address}: no answer")


@pytest.mark.parametrize("listener", ["socks", "http"])
async def test_listener_with_another_protocol_is_unhealthy(listener, capsys):
    async with serving(speak_first(b"220 mail.example ESMTP\r\n")) as peer:
        code, line = await healthcheck(capsys, f"--{listener}", str(peer.address))
    assert code == 1
    assert line.endswith(
        f"{listener.upper()} on {peer.address}: the answer is not from netjumper-bridge"
    )


PING = len(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")


def page(status, body, more=b""):
    """Return the behaviour of a web server that always sends this page."""
    head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n" % (status, len(body), more)
    return speak_first(head + body)


@pytest.mark.parametrize(
    "behave",
    [
        page(b"200 OK", b"It works!"),
        page(b"200 OK", b"", b"Allow: GET, OPTIONS\r\n"),
        page(b"501 Unsupported method", b"no netjumper-bridge"),
        scripted(PING, b"HTTP/1.0 200 OK\r\n\r\nIt works!"),
        scripted(PING),
    ],
    ids=["a page", "no page", "an error", "HTTP/1.0", "nothing"],
)
async def test_web_server_is_unhealthy(behave, capsys):
    async with serving(behave) as peer:
        code, line = await healthcheck(capsys, "--http", str(peer.address), "--dial-timeout", "2")
    assert code == 1
    assert line.endswith("the answer is not from netjumper-bridge")


async def test_listener_with_a_full_queue_is_unhealthy(capsys):
    with unresponsive() as address:
        code, line = await healthcheck(capsys, "--socks", str(address), "--dial-timeout", "0.2")
    assert code == 1
    assert line.endswith("no answer")


async def test_invalid_settings_are_unhealthy(capsys):
    code, line = await healthcheck(capsys, "--socks", "nonsense")
    assert code == 1
    assert line.startswith("netjumper-bridge: --socks: ")
    assert (await healthcheck(capsys, "--socks", "127.0.0.1:0"))[0] == 1


@pytest.fixture
def with_secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())


async def test_deep_check_includes_the_jump_server(capsys, with_secret):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = service.address_of("socks")
        code, line = await healthcheck(capsys, "--deep", "--socks", listener, "--jump", str(jump))
    assert code == 0
    assert line == f"healthy: SOCKS on {listener}, jump host {jump} accepts the secret"


async def test_deep_check_needs_one_jump_server_that_accepts(capsys, with_secret):
    closed = closed_port()
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = service.address_of("socks")
        hosts = ["--jump", str(closed), "--jump", str(jump)]
        code, line = await healthcheck(capsys, "--deep", "--socks", listener, *hosts)
    assert code == 0
    assert line.endswith(
        f"jump host {jump} accepts the secret (jump host {closed}: connection refused)"
    )


async def test_deep_check_fails_if_no_jump_server_accepts(capsys, with_secret):
    first, second = closed_port(), closed_port()
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = service.address_of("socks")
        hosts = ["--jump", str(first), "--jump", str(second)]
        code, line = await healthcheck(capsys, "--deep", "--socks", listener, *hosts)
    assert code == 1
    assert line.endswith(
        f"jump host {first}: connection refused; jump host {second}: connection refused"
    )


async def test_deep_check_fails_with_a_wrong_secret(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", "another-secret-of-theirs")
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = service.address_of("socks")
        code, line = await healthcheck(capsys, "--deep", "--socks", listener, "--jump", str(jump))
    assert code == 1
    assert f"jump host {jump}: challenge failed, check secret" in line


async def test_deep_check_fails_if_the_jump_server_is_silent(capsys, with_secret):
    async with (
        jump_server_running() as (_, jump),
        bridge_running(jump) as service,
        serving(scripted(Step.SILENCE)) as silent,
    ):
        code, line = await healthcheck(
            capsys, "--deep", "--socks", service.address_of("socks"),
            "--jump", str(silent.address), "--jump-timeout", "0.2",
        )  # fmt: skip
    assert code == 1
    assert line.endswith(f"jump host {silent.address}: it did not answer in time")


async def test_deep_check_skips_an_embedded_jump_server(capsys):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = service.address_of("socks")
        code, line = await healthcheck(capsys, "--deep", "--embedded", "--socks", listener)
    assert (code, line) == (
        0,
        f"healthy: SOCKS on {listener}, the jump server runs in the bridge",
    )


def test_help_of_embedded_is_specific_to_healthcheck(capsys):
    assert bridge.main(["healthcheck", "--help"]) == 0
    line = " ".join(capsys.readouterr().out.split())
    assert "the jump server runs in the bridge itself, so --deep skips it" in line
    assert "in this process" not in line


@pytest.mark.parametrize("credentials", [None, Credentials({"me": "s3cret-of-18-bytes"})])
@pytest.mark.parametrize("listener", ["socks", "http", "mixed"])
async def test_healthcheck_of_a_bridge_is_not_logged(listener, credentials, capsys, caplog):
    caplog.set_level(logging.INFO)
    async with (
        jump_server_running() as (_, jump),
        bridge_running(jump, credentials=credentials) as service,
    ):
        code, _ = await healthcheck(capsys, f"--{listener}", service.address_of(listener))
        await eventually(lambda: len(service.sessions) == 0)
    assert (code, caplog.records) == (0, [])


# --- the jump server ----------------------------------------------------------------------


async def test_jump_server_that_sends_a_challenge_is_healthy(capsys, caplog):
    caplog.set_level(logging.INFO)
    async with jump_server_running() as (service, address):
        code, line = await healthcheck(capsys, "--listen", str(address), command=server)
        await eventually(lambda: len(service.sessions) == 0)
    assert (code, line) == (0, f"healthy: netjumper on {address}")
    assert caplog.records == []


@pytest.mark.parametrize("listener", ["listen", "listen_tls"])
async def test_jump_server_that_banned_this_machine_is_healthy(listener, capsys, tmp_path):
    limits = AdmissionLimits(auth_failures=1)
    addresses = {"listen": [], "listen_tls": [], "encryption": sides_of(tmp_path)[1]}
    addresses[listener] = [ListenAddress("127.0.0.1", 0)]
    async with jump_server_running(**addresses, admission=limits) as (service, address):
        service.sessions.context.admission.auth_failed(f"{address.host}:1")
        flag = f"--{listener.replace('_', '-')}"
        code, line = await healthcheck(capsys, flag, str(address), command=server)
        assert code == 0
    assert line.startswith("healthy: netjumper")
    assert f"{address} (connection reset: this address is banned, or too many" in line


async def test_jump_server_on_a_closed_port_is_unhealthy(capsys):
    closed = closed_port()
    code, line = await healthcheck(capsys, "--listen", str(closed), command=server)
    assert (code, line) == (1, f"netjumper: netjumper on {closed}: Connection refused")


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n" + bytes(99), b"\x1f" + bytes(31), b"\x20" + bytes(31)]
)
async def test_server_without_a_challenge_is_unhealthy(data, capsys):
    async with serving(scripted(data)) as peer:
        code, line = await healthcheck(capsys, "--listen", str(peer.address), command=server)
    assert code == 1
    assert line.endswith("the answer is not from netjumper")


async def test_silent_jump_server_is_unhealthy(capsys):
    async with serving(black_hole) as peer:
        code, line = await healthcheck(
            capsys, "--listen", str(peer.address), "--dial-timeout", "0.2", command=server
        )
    assert code == 1
    assert line.endswith(f"netjumper on {peer.address}: no answer")


async def test_invalid_jump_server_settings_are_unhealthy(capsys):
    code, line = await healthcheck(capsys, "--listen", "nonsense", command=server)
    assert code == 1
    assert line.startswith("netjumper: --listen: ")
