"""`netjumper-bridge healthcheck`: one line, 0 or 1, against real bridges and what is none."""

import asyncio

import pytest

from netjumper.bridge import bridge as make_bridge
from netjumper.bridge.credentials import Credentials
from netjumper.cli import bridge
from netjumper.jumphost import JumpHost
from netjumper.net.dial import Dialer
from netjumper.net.listener import ListenAddress
from rogues import Step, black_hole, closed_port, scripted, serving, speak_first, unanswering
from services import SECRET, bridge_running, jump_server_running, started


async def checked(capsys, *arguments):
    """Run it beside this loop; return the exit code and its one line."""
    code = await asyncio.to_thread(bridge.main, ["healthcheck", *arguments])
    out, err = capsys.readouterr()
    assert (out + err).count("\n") == 1
    assert SECRET.decode() not in out + err
    return code, (out + err).rstrip("\n")


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
    assert told.endswith(f"what answers there does not speak {door.upper()}")


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
    assert (code, told) == (0, f"healthy: SOCKS on {door}, the jump server is in the bridge")
