"""`healthcheck --running`: it finds the service that runs here, and asks what that serves."""

import pytest

from netjumper.diagnostics import listener_check
from tests.support.healthchecks import checked
from tests.support.peers import closed_port
from tests.support.programs import running
from tests.support.services import SECRET, bridge_running, jump_server_running


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Return what writes the command lines of a machine's processes, the first of which is 1."""
    proc = tmp_path / "proc"
    monkeypatch.setattr(listener_check, "PROC", proc)

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


@pytest.mark.parametrize("word", ["server", "bridge"])
async def test_a_command_that_runs_as_a_module_is_asked(word, capsys, processes):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = service.address_of("socks")
        options = {"server": ["--listen", str(jump)], "bridge": ["--socks", door]}
        processes([*PYTHON, "-m", "netjumper", word, *options[word]])
        told = {"server": f"netjumper on {jump}", "bridge": f"SOCKS on {door}"}
        assert await checked(capsys, "--running") == (0, f"healthy: {told[word]}")


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
    assert told.startswith(
        "netjumper-bridge: --deep: a jump server runs here, and it uses no other"
    )


async def test_where_none_of_the_two_runs_that_is_what_is_told(capsys, processes):
    module = [*PYTHON, "-m", "netjumper"]
    others = [["sh"], ["vi", "/etc/netjumper"], PYTHON, module, [*module, "server", "keygen"]]
    processes(ENTRYPOINT, *others, [*BRIDGE, "doctor", "--jump", "a:1"], [*NETJUMPER, "keygen"])
    told = "netjumper-bridge: neither netjumper nor netjumper-bridge runs here"
    assert await checked(capsys, "--running") == (1, told)


async def test_a_command_line_is_read_as_this_system_shows_it(capsys, tmp_path, monkeypatch):
    door = str(closed_port())
    monkeypatch.setattr(listener_check, "PROC", tmp_path)
    with running("netjumper-bridge", "--embedded", "--socks", door) as program:
        program.wait_for("listening")
        (tmp_path / "7").symlink_to(f"/proc/{program.process.pid}")
        assert await checked(capsys, "--running", "--deep") == (
            0, f"healthy: SOCKS on {door}, the jump server runs in the bridge"
        )  # fmt: skip


async def test_deep_asks_for_no_password_where_only_the_bridge_was_given_one(
    capsys, processes, monkeypatch
):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        door = f"0.0.0.0:{service.address_of('http').rpartition(':')[2]}"
        line = [*BRIDGE, "--http", door, "--auth-file", "users", "--jump", str(jump)]
        processes(line)
        code, told = await checked(capsys, "--running", "--deep")
    assert (code, told) == (0, f"healthy: HTTP on {door}, jump host {jump} accepts the secret")
