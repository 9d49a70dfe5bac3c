"""`healthcheck` of both commands: one line, 0 or 1, against real services and what is none."""

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
from tests.support.healthchecks import checked
from tests.support.peers import (
    Step,
    black_hole,
    closed_port,
    eventually,
    scripted,
    serving,
    speak_first,
    unanswering,
)
from tests.support.services import SECRET, bridge_running, jump_server_running, started
from tests.support.tls_pair import sides_of


async def test_a_bridge_whose_doors_all_answer_is_healthy(capsys, tmp_path):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        doors = dict(service.listening)
        flags = [word for name, place in doors.items() for word in (f"--{name}", place)]
        code, told = await checked(capsys, *flags)
    assert code == 0
    assert told == (
        f"healthy: SOCKS on {doors['socks']}, HTTP on {doors['http']}, "
        f"SOCKS on {doors['mixed']}, HTTP on {doors['mixed']}"
    )


async def test_it_asks_for_no_tunnel(capsys):
    async with jump_server_running() as (server, jump), bridge_running(jump) as service:
        server.stop_accepting()  # whoever asked for one would be refused
        code, _ = await checked(capsys, "--mixed", service.address_of("mixed"))
    assert code == 0


async def test_a_bridge_that_wants_a_password_is_healthy_without_it(capsys):
    credentials = Credentials({"me": "s3cret"})
    async with (
        jump_server_running() as (_, jump),
        bridge_running(jump, credentials=credentials) as service,
    ):
        code, _ = await checked(capsys, "--mixed", service.address_of("mixed"))
    assert code == 0


async def test_a_bridge_on_a_unix_socket_is_asked_there(capsys, tmp_path):
    loop = asyncio.get_running_loop()
    place = f"unix:{tmp_path}/b"
    upstream = JumpHost(loop, closed_port(), SECRET, Dialer(loop, timeout=5.0), 5.0)
    async with started(make_bridge(upstream=upstream, http=[ListenAddress.parse(place)])):
        code, told = await checked(capsys, "--http", place)
    assert (code, told) == (0, f"healthy: HTTP on {place}")
    code, told = await checked(capsys, "--http", place)
    assert code == 1
    assert told.startswith(f"netjumper-bridge: HTTP on {place}: ")


@pytest.mark.parametrize("door", ["socks", "http", "mixed"])
async def test_a_port_where_nobody_listens_is_unhealthy(door, capsys):
    nowhere = closed_port()
    code, told = await checked(capsys, f"--{door}", str(nowhere))
    assert code == 1
    assert told.endswith(f" on {nowhere}: Connection refused")


@pytest.mark.parametrize("door", ["socks", "http"])
async def test_a_program_that_takes_the_connection_and_says_nothing_is_unhealthy(door, capsys):
    async with serving(black_hole) as peer:
        code, told = await checked(capsys, f"--{door}", str(peer.address), "--dial-timeout", "0.2")
    assert code == 1
    assert told.endswith(f"{door.upper()} on {peer.address}: no answer")


@pytest.mark.parametrize("door", ["socks", "http"])
async def test_a_program_that_speaks_something_else_is_unhealthy(door, capsys):
    async with serving(speak_first(b"220 mail.example ESMTP\r\n")) as peer:
        code, told = await checked(capsys, f"--{door}", str(peer.address))
    assert code == 1
    assert told.endswith(
        f"{door.upper()} on {peer.address}: what answers there is no netjumper-bridge"
    )


PING = len(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")


def page(status, body, more=b""):
    """What a web server says to whatever it is asked."""
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
async def test_a_web_server_is_no_bridge(behave, capsys):
    async with serving(behave) as peer:
        code, told = await checked(capsys, "--http", str(peer.address), "--dial-timeout", "2")
    assert code == 1
    assert told.endswith("what answers there is no netjumper-bridge")


async def test_a_listener_whose_queue_is_full_is_unhealthy(capsys):
    with unanswering() as address:
        code, told = await checked(capsys, "--socks", str(address), "--dial-timeout", "0.2")
    assert code == 1
    assert told.endswith("no answer")


async def test_settings_that_are_wrong_are_unhealthy_too(capsys):
    code, told = await checked(capsys, "--socks", "nonsense")
    assert code == 1
    assert told.startswith("netjumper-bridge: --socks: ")
    assert (await checked(capsys, "--socks", "127.0.0.1:0"))[0] == 1


@pytest.fixture
def with_secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())


async def test_deep_reaches_the_jump_server_too(capsys, with_secret):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = service.address_of("socks")
        code, told = await checked(capsys, "--deep", "--socks", door, "--jump", str(jump))
    assert code == 0
    assert told == f"healthy: SOCKS on {door}, jump host {jump} accepts the secret"


async def test_deep_is_healthy_where_one_of_several_jump_servers_lets_us_in(capsys, with_secret):
    nobody = closed_port()
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = service.address_of("socks")
        hosts = ["--jump", str(nobody), "--jump", str(jump)]
        code, told = await checked(capsys, "--deep", "--socks", door, *hosts)
    assert code == 0
    assert told.endswith(
        f"jump host {jump} accepts the secret (jump host {nobody}: connection refused)"
    )


async def test_deep_is_unhealthy_where_none_of_several_jump_servers_lets_us_in(capsys, with_secret):
    one, other = closed_port(), closed_port()
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = service.address_of("socks")
        hosts = ["--jump", str(one), "--jump", str(other)]
        code, told = await checked(capsys, "--deep", "--socks", door, *hosts)
    assert code == 1
    assert told.endswith(
        f"jump host {one}: connection refused; jump host {other}: connection refused"
    )


async def test_deep_is_unhealthy_where_the_secret_is_wrong(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", "another")
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = service.address_of("socks")
        code, told = await checked(capsys, "--deep", "--socks", door, "--jump", str(jump))
    assert code == 1
    assert f"jump host {jump}: challenge failed, check secret" in told


async def test_deep_is_unhealthy_where_the_jump_server_falls_silent(capsys, with_secret):
    async with (
        jump_server_running() as (_, jump),
        bridge_running(jump) as service,
        serving(scripted(Step.SILENCE)) as silent,
    ):
        code, told = await checked(
            capsys, "--deep", "--socks", service.address_of("socks"),
            "--jump", str(silent.address), "--jump-timeout", "0.2",
        )  # fmt: skip
    assert code == 1
    assert told.endswith(f"jump host {silent.address}: it did not answer in time")


async def test_deep_with_a_jump_server_inside_the_bridge_dials_nothing(capsys):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = service.address_of("socks")
        code, told = await checked(capsys, "--deep", "--embedded", "--socks", door)
    assert (code, told) == (0, f"healthy: SOCKS on {door}, the jump server runs in the bridge")


def test_embedded_is_explained_as_what_it_is_here(capsys):
    assert bridge.main(["healthcheck", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "the jump server runs in the bridge itself, so --deep skips it" in told
    assert "in this process" not in told


@pytest.mark.parametrize("credentials", [None, Credentials({"me": "s3cret"})])
@pytest.mark.parametrize("door", ["socks", "http", "mixed"])
async def test_it_leaves_nothing_in_the_log(door, credentials, capsys, caplog):
    caplog.set_level(logging.INFO)
    async with (
        jump_server_running() as (_, jump),
        bridge_running(jump, credentials=credentials) as service,
    ):
        code, _ = await checked(capsys, f"--{door}", service.address_of(door))
        await eventually(lambda: len(service.sessions) == 0)
    assert (code, caplog.records) == (0, [])


# --- the jump server's ----------------------------------------------------------------------


async def test_a_jump_server_that_gives_its_challenge_is_healthy(capsys, caplog):
    caplog.set_level(logging.INFO)
    async with jump_server_running() as (service, address):
        code, told = await checked(capsys, "--listen", str(address), command=server)
        await eventually(lambda: len(service.sessions) == 0)
    assert (code, told) == (0, f"healthy: netjumper on {address}")
    assert caplog.records == []


@pytest.mark.parametrize("door", ["listen", "listen_tls"])
async def test_a_jump_server_that_has_shut_this_machine_out_is_healthy(door, capsys, tmp_path):
    limits = AdmissionLimits(auth_failures=1)
    places = {"listen": [], "listen_tls": [], "encryption": sides_of(tmp_path)[1]}
    places[door] = [ListenAddress("127.0.0.1", 0)]
    async with jump_server_running(**places, admission=limits) as (service, address):
        service.sessions.context.admission.auth_failed(f"{address.host}:1")
        flag = f"--{door.replace('_', '-')}"
        code, told = await checked(capsys, flag, str(address), command=server)
        assert code == 0
    assert told.startswith("healthy: netjumper")
    assert f"{address} (connection reset: this address is banned, or too many" in told


async def test_a_jump_server_that_is_not_there_is_unhealthy(capsys):
    nowhere = closed_port()
    code, told = await checked(capsys, "--listen", str(nowhere), command=server)
    assert (code, told) == (1, f"netjumper: netjumper on {nowhere}: Connection refused")


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-x\r\n" + bytes(99), b"\x1f" + bytes(31), b"\x20" + bytes(31)]
)
async def test_what_gives_no_challenge_is_no_jump_server(said, capsys):
    async with serving(scripted(said)) as peer:
        code, told = await checked(capsys, "--listen", str(peer.address), command=server)
    assert code == 1
    assert told.endswith("what answers there is no netjumper")


async def test_a_jump_server_that_says_nothing_is_unhealthy(capsys):
    async with serving(black_hole) as peer:
        code, told = await checked(
            capsys, "--listen", str(peer.address), "--dial-timeout", "0.2", command=server
        )
    assert code == 1
    assert told.endswith(f"netjumper on {peer.address}: no answer")


async def test_a_jump_servers_settings_that_are_wrong_are_unhealthy_too(capsys):
    code, told = await checked(capsys, "--listen", "nonsense", command=server)
    assert code == 1
    assert told.startswith("netjumper: --listen: ")
