"""`healthcheck` of both commands: one line, 0 or 1, against real services and what is none."""

import asyncio
import logging

import pytest

from netjumper.bridge import bridge as make_bridge
from netjumper.bridge.credentials import Credentials
from netjumper.cli import asking, bridge, server
from netjumper.jumphost import JumpHost
from netjumper.net.dial import Dialer
from netjumper.net.listener import ListenAddress
from programs import running
from rogues import (
    Step,
    black_hole,
    closed_port,
    eventually,
    scripted,
    serving,
    speak_first,
    unanswering,
)
from services import SECRET, bridge_running, jump_server_running, started


async def checked(capsys, *arguments, command=bridge):
    """Run it beside this loop; return the exit code and its one line."""
    code = await asyncio.to_thread(command.main, ["healthcheck", *arguments])
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


@pytest.mark.parametrize("credentials", [None, Credentials({"me": "s3cret"})])
@pytest.mark.parametrize("door", ["socks", "http", "mixed"])
async def test_it_leaves_nothing_in_the_log(door, credentials, capsys, caplog):
    caplog.set_level(logging.INFO)
    async with (
        jump_server_running() as (_, jump),
        bridge_running(jump, credentials=credentials) as service,
    ):
        code, _ = await checked(capsys, f"--{door}", service.address_of(door))
        await eventually(lambda: len(service.tunnels) == 0)
    assert (code, caplog.records) == (0, [])


# --- the jump server's ----------------------------------------------------------------------


async def test_a_jump_server_that_gives_its_challenge_is_healthy(capsys, caplog):
    caplog.set_level(logging.INFO)
    async with jump_server_running() as (service, address):
        code, told = await checked(capsys, "--listen", str(address), command=server)
        await eventually(lambda: len(service.tunnels) == 0)
    assert (code, told) == (0, f"healthy: netjumper on {address}")
    assert caplog.records == []


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
    assert told.endswith("what answers there does not speak netjumper")


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


# --- whichever runs here --------------------------------------------------------------------


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Return what writes the command lines of a machine's processes, the first of which is 1."""
    proc = tmp_path / "proc"
    monkeypatch.setattr(asking, "PROC", proc)

    def write(*lines):
        for number, line in enumerate(lines, 1):
            (proc / str(number)).mkdir(parents=True)
            if line is not None:
                words = "\0".join([*line, ""]) if line else ""
                (proc / str(number) / "cmdline").write_text(words)

    return write


ENTRYPOINT = ["/sbin/init", "--", "netjumper-entrypoint", "netjumper-bridge"]
PYTHON = ["/opt/venv/bin/python3"]
NETJUMPER, BRIDGE = (
    [*PYTHON, "/opt/venv/bin/netjumper"],
    [*PYTHON, "/opt/venv/bin/netjumper-bridge"],
)


async def test_the_bridge_that_runs_is_asked_where_its_command_line_says(capsys, processes):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = service.address_of("mixed")
        asks = [*BRIDGE, "healthcheck", "--running"]
        processes(ENTRYPOINT, None, [], asks, [*BRIDGE, "--log-level", "debug", "--mixed", door])
        code, told = await checked(capsys, "--running")
    assert (code, told) == (0, f"healthy: SOCKS on {door}, HTTP on {door}")


async def test_our_own_options_win_over_those_of_the_bridge_that_runs(capsys, processes):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door, nowhere = service.address_of("socks"), str(closed_port())
        processes([*BRIDGE, "--socks", nowhere, "--dial-timeout", "3"])
        assert (await checked(capsys, "--running"))[0] == 1
        assert (await checked(capsys, "--running", "--socks", door))[0] == 0


async def test_the_settings_file_of_the_bridge_that_runs_is_read(capsys, processes, tmp_path):
    file = tmp_path / "bridge.toml"
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = service.address_of("socks")
        file.write_text(f'[bridge]\nsocks = ["{door}"]\n')
        processes([*BRIDGE, "--config", str(file)])
        code, told = await checked(capsys, "--running")
    assert (code, told) == (0, f"healthy: SOCKS on {door}")


@pytest.mark.parametrize("line", ["--listen {0}", "--listen={0} --log-level debug", "{1}", "{1} x"])
async def test_the_jump_server_that_runs_is_asked_where_its_command_line_says(
    line, capsys, processes
):
    async with jump_server_running() as (_, address):
        processes([*NETJUMPER, *line.format(address, address.port).split()])
        code, told = await checked(capsys, "--running")
        assert code == 0
        assert told.startswith("healthy: netjumper on ")
        assert told.endswith(f":{address.port}")
    assert (await checked(capsys, "--running"))[0] == 1


async def test_where_both_run_it_is_the_bridge_that_is_asked(capsys, processes):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = service.address_of("socks")
        there = [*BRIDGE, "--socks", door]
        processes([*NETJUMPER, "--listen", str(jump)], there, [*BRIDGE, "--socks", "127.0.0.1:1"])
        assert await checked(capsys, "--running") == (0, f"healthy: SOCKS on {door}")


async def test_a_jump_server_has_none_behind_it(capsys, processes):
    async with jump_server_running() as (_, address):
        processes([*NETJUMPER, "--listen", str(address)])
        code, told = await checked(capsys, "--running", "--deep")
    assert code == 1
    assert told.startswith("netjumper-bridge: --deep: what runs here is a jump server")


async def test_where_none_of_the_two_runs_that_is_what_is_told(capsys, processes):
    processes(ENTRYPOINT, ["sh"], [*BRIDGE, "doctor", "--jump", "a:1"], [*NETJUMPER, "keygen"])
    told = "netjumper-bridge: neither netjumper nor netjumper-bridge runs here"
    assert await checked(capsys, "--running") == (1, told)


async def test_a_command_line_is_read_as_this_system_shows_it(capsys, tmp_path, monkeypatch):
    door = str(closed_port())
    monkeypatch.setattr(asking, "PROC", tmp_path)
    with running("netjumper-bridge", "--embedded", "--socks", door) as program:
        program.wait_for("listening")
        (tmp_path / "7").symlink_to(f"/proc/{program.process.pid}")
        assert await checked(capsys, "--running", "--deep") == (
            0, f"healthy: SOCKS on {door}, the jump server is in the bridge"
        )  # fmt: skip
