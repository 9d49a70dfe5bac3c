"""`healthcheck --running` finds the service that runs here, and checks its listeners."""

import os

import pytest

from netjumper.cli import server
from netjumper.diagnostics import listener_check
from tests.support.healthchecks import healthcheck
from tests.support.peers import closed_port
from tests.support.programs import running
from tests.support.services import SECRET, bridge_running, jump_server_running

OWN_USER = os.geteuid()


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Return a function that writes the command lines of processes, the first of which is 1."""
    proc = tmp_path / "proc"
    monkeypatch.setattr(listener_check, "PROC", proc)

    def write(*lines, user=OWN_USER, real_user=None):
        uids = [user if real_user is None else real_user, user, user, user]

        for number, line in enumerate(lines, 1):
            (proc / str(number)).mkdir(parents=True, exist_ok=True)
            (proc / str(number) / "status").write_text(
                "\t".join(["Name:\tx\nUid:", *map(str, uids)]) + "\n"
            )
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


async def test_running_bridge_is_checked_at_its_listeners(capsys, processes):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = service.address_of("mixed")
        itself = [*BRIDGE, "healthcheck", "--running"]
        service_line = [*BRIDGE, "--log-level", "debug", "--mixed", listener]
        processes(ENTRYPOINT, None, [], itself, service_line)
        code, text = await healthcheck(capsys, "--running")
    assert (code, text) == (0, f"healthy: SOCKS on {listener}, HTTP on {listener}")


async def test_options_win_over_those_of_the_running_bridge(capsys, processes):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener, closed = service.address_of("socks"), str(closed_port())
        processes([*BRIDGE, "--socks", closed, "--dial-timeout", "3"])
        assert (await healthcheck(capsys, "--running"))[0] == 1
        assert (await healthcheck(capsys, "--running", "--socks", listener))[0] == 0


async def test_settings_file_of_the_running_bridge_is_read(capsys, processes, tmp_path):
    file = tmp_path / "bridge.toml"
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = service.address_of("socks")
        file.write_text(f'[bridge]\nsocks = ["{listener}"]\n')
        processes([*BRIDGE, "--config", str(file)])
        code, text = await healthcheck(capsys, "--running")
    assert (code, text) == (0, f"healthy: SOCKS on {listener}")


async def test_jump_servers_own_health_check_finds_it_beside_a_bridge(capsys, processes):
    async with jump_server_running() as (_, jump):
        processes([*BRIDGE, "--socks", str(closed_port())], [*NETJUMPER, "--listen", str(jump)])
        code, text = await healthcheck(capsys, "--running", command=server)
    assert (code, text) == (0, f"healthy: netjumper on {jump}")


async def test_missing_jump_server_is_unhealthy(capsys, processes):
    processes([*BRIDGE, "--socks", "127.0.0.1:1"])
    result = await healthcheck(capsys, "--running", command=server)
    assert result == (1, "netjumper: no netjumper runs here")


@pytest.mark.parametrize("line", ["--listen {0}", "--listen={0} --log-level debug", "{1}", "{1} x"])
async def test_running_jump_server_is_checked_at_its_listener(line, capsys, processes):
    async with jump_server_running() as (_, address):
        processes([*NETJUMPER, *line.format(address, address.port).split()])
        code, text = await healthcheck(capsys, "--running")
        assert code == 0
        assert text.startswith("healthy: netjumper on ")
        assert text.endswith(f":{address.port}")
    assert (await healthcheck(capsys, "--running"))[0] == 1


@pytest.mark.parametrize("word", ["server", "bridge"])
async def test_command_run_as_a_module_is_checked(word, capsys, processes):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = service.address_of("socks")
        options = {"server": ["--listen", str(jump)], "bridge": ["--socks", listener]}
        processes([*PYTHON, "-m", "netjumper", word, *options[word]])
        text = {"server": f"netjumper on {jump}", "bridge": f"SOCKS on {listener}"}
        assert await healthcheck(capsys, "--running") == (0, f"healthy: {text[word]}")


async def test_bridge_is_checked_if_both_run(capsys, processes):
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = service.address_of("socks")
        first = [*BRIDGE, "--socks", listener]
        processes([*NETJUMPER, "--listen", str(jump)], first, [*BRIDGE, "--socks", "127.0.0.1:1"])
        assert await healthcheck(capsys, "--running") == (0, f"healthy: SOCKS on {listener}")


async def test_process_of_another_user_is_not_believed(capsys, processes, monkeypatch):
    monkeypatch.setattr(listener_check.os, "geteuid", lambda: 12345)
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        line = [*BRIDGE, "--socks", service.address_of("socks")]
        processes(line, user=54321)
        code, text = await healthcheck(capsys, "--running")
        assert code == 1
        assert text == (
            "netjumper-bridge: netjumper-bridge runs here as user 54321; "
            "run the health check as that user"
        )
        processes(line, user=0, real_user=54321)  # a setuid program, with words of its caller
        assert (await healthcheck(capsys, "--running")) == (code, text)
        processes(line, user=0)
        assert (await healthcheck(capsys, "--running"))[0] == 0
        processes(line, user=12345)
        assert (await healthcheck(capsys, "--running"))[0] == 0


async def test_deep_check_of_a_jump_server_is_refused(capsys, processes):
    async with jump_server_running() as (_, address):
        processes([*NETJUMPER, "--listen", str(address)])
        code, text = await healthcheck(capsys, "--running", "--deep")
    assert code == 1
    assert text.startswith(
        "netjumper-bridge: --deep: a jump server runs here, and it uses no other"
    )


async def test_missing_service_is_reported(capsys, processes):
    module = [*PYTHON, "-m", "netjumper"]
    others = [["sh"], ["vi", "/etc/netjumper"], PYTHON, module, [*module, "server", "keygen"]]
    processes(ENTRYPOINT, *others, [*BRIDGE, "doctor", "--jump", "a:1"], [*NETJUMPER, "keygen"])
    text = "netjumper-bridge: no netjumper-bridge or netjumper runs here"
    assert await healthcheck(capsys, "--running") == (1, text)


async def test_command_line_is_read_from_proc(capsys, tmp_path, monkeypatch):
    listener = str(closed_port())
    monkeypatch.setattr(listener_check, "PROC", tmp_path)
    with running("netjumper-bridge", "--embedded", "--socks", listener) as program:
        program.wait_for("listening")
        (tmp_path / "7").symlink_to(f"/proc/{program.process.pid}")
        assert await healthcheck(capsys, "--running", "--deep") == (
            0, f"healthy: SOCKS on {listener}, the jump server runs in the bridge"
        )  # fmt: skip


async def test_deep_check_needs_no_password_of_the_bridge(capsys, processes, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())
    async with jump_server_running() as (_, jump), bridge_running(jump) as service:
        listener = f"0.0.0.0:{service.address_of('http').rpartition(':')[2]}"
        line = [*BRIDGE, "--http", listener, "--auth-file", "users", "--jump", str(jump)]
        processes(line)
        code, text = await healthcheck(capsys, "--running", "--deep")
    assert (code, text) == (
        0,
        f"healthy: HTTP on {listener}, jump host {jump} accepts the secret",
    )
