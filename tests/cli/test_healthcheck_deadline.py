"""One deadline and one limit of bytes for a whole health check, whatever answers it."""

import time

import pytest

from netjumper.cli import bridge, server
from tests.support.healthchecks import healthcheck
from tests.support.peers import serving
from tests.support.scripted_peer import dripping, endless
from tests.support.services import SECRET, bridge_running, jump_server_running

OK = b"HTTP/1.1 200 OK\r\n"
DRIPPING_CHALLENGE = dripping(b" " + bytes(32))
ANSWERS = {
    "a dripping challenge": (server, "--listen", DRIPPING_CHALLENGE),
    "a dripping head": (bridge, "--http", dripping(b"a: b\r\n", after=OK)),
    "a dripping body": (
        bridge, "--http", dripping(b"This is netjumper-bridge", after=OK + b"\r\n"),
    ),
    "endless fields": (bridge, "--http", endless(b"a: b\r\n", after=OK)),
    "endless interim answers": (bridge, "--http", endless(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "an endless body": (bridge, "--http", endless(b"x", after=OK + b"\r\n")),
    "a dripping method": (bridge, "--socks", dripping(b"\5\0", interval=0.4)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def with_secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())


@pytest.mark.parametrize(("command", "flag", "behave"), ANSWERS.values(), ids=ANSWERS)
async def test_answer_that_does_not_end_is_unhealthy_in_time(command, flag, behave, capsys):
    async with serving(behave) as peer:
        began = time.monotonic()
        code, line = await healthcheck(
            capsys, flag, str(peer.address), "--dial-timeout", "0.3", command=command
        )
        assert time.monotonic() - began < 3
    assert code == 1
    assert line.endswith(("no answer", "the answer is not from netjumper-bridge"))


async def test_jump_hosts_share_the_time_of_a_deep_check(capsys):
    async with (
        jump_server_running() as (_, jump),
        bridge_running(jump) as service,
        serving(DRIPPING_CHALLENGE) as dripping_jump,
    ):
        began = time.monotonic()
        code, line = await healthcheck(
            capsys, "--deep", "--socks", service.address_of("socks"), "--jump-timeout", "0.8",
            "--jump", str(dripping_jump), "--jump", str(jump),
        )  # fmt: skip
        assert time.monotonic() - began < 5
    assert code == 0
    assert f"jump host {jump} accepts the secret (jump host {dripping_jump}: " in line


async def test_deep_check_of_a_dripping_jump_server_ends_in_time(capsys):
    async with (
        jump_server_running() as (_, jump),
        bridge_running(jump) as service,
        serving(DRIPPING_CHALLENGE) as dripping_jump,
    ):
        began = time.monotonic()
        code, line = await healthcheck(
            capsys, "--deep", "--socks", service.address_of("socks"), "--jump-timeout", "0.3",
            "--jump", str(dripping_jump),
        )  # fmt: skip
        assert time.monotonic() - began < 3
    assert code == 1
    assert line.endswith("it did not answer in time")
