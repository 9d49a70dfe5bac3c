"""`netjumper-bridge doctor`: the report of each step, the advice, the exit code."""

import asyncio
import contextlib
import json
import socket
import sys
from datetime import UTC, datetime

import pytest

from netjumper.addressing.address import Address
from netjumper.cli import bridge
from netjumper.diagnostics import probe
from netjumper.diagnostics.steps import EXIT_CODES
from netjumper.server.clients import Client, Clients
from netjumper.server.guard import Guard
from tests.support.doctor import STEPS, doctor, doctor_report
from tests.support.peers import (
    address_of,
    black_hole,
    closed_port,
    echo,
    listening,
    serving,
    unresponsive,
)
from tests.support.scripted_peer import ANSWER, CHALLENGE, Step, destination_size, scripted
from tests.support.services import SECRET, jump_server_running

SSH = b"SSH-2.0-Other_9.2p1\r\n"
"""As a challenge, its first byte would announce 83 bytes."""
TIMEOUT_S = 0.2
"""Seconds that a step waits in vain."""
TARGET = Address("target.example", 80)


@pytest.fixture(autouse=True)
def with_secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())


async def failed_step(capsys, step, jump, *arguments):
    """Return the detail of the step that failed, and the advice."""
    code, report = await doctor_report(capsys, jump, *arguments)
    *before, last = report["steps"]
    assert (last["step"], last["ok"], code) == (step, False, EXIT_CODES[step])
    assert all(step["ok"] for step in before)
    assert report["advice"]
    return last["detail"], report["advice"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux' user timeout")
def test_probe_connection_has_no_user_timeout():
    with listening() as jump:
        tried = probe.Probe(
            address_of(jump), SECRET, lookup_timeout=10.0, dial_timeout=10.0, jump_timeout=10.0
        )
        with contextlib.closing(tried):
            tried.look_up()
            tried.connect()
            assert tried.tunnel.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


async def test_every_step_to_a_target_succeeds(capsys):
    async with jump_server_running() as (_, jump), serving(echo) as target:
        code, out = await doctor(capsys, "--jump", str(jump), str(target.address))
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [line[1] for line in lines] == STEPS
    assert [line[0] for line in lines] == ["ok"] * 5 + ["-"]
    assert f"{target.address} is reached" in out


async def test_several_jump_servers_are_tested_in_turn(capsys):
    closed = closed_port()
    async with jump_server_running() as (_, jump), serving(echo) as target:
        hosts = ["--jump", str(jump), "--jump", str(closed)]
        code, out = await doctor(capsys, *hosts, str(target.address))
        as_json = await doctor(capsys, "--json", *hosts, str(target.address))
    assert code == EXIT_CODES["connect"]
    first, second = out.split(f"\njump host {closed}:\n")
    assert first.startswith(f"jump host {jump}:\nok ")
    assert f"{target.address} is reached" in first
    assert "FAILED connect" in second
    assert as_json[0] == code
    assert [json.loads(line)["ok"] for line in as_json[1].splitlines()] == [True, False]


async def test_advice_follows_the_steps_and_fits_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    closed = closed_port()
    async with jump_server_running() as (_, jump):
        code, out = await doctor(capsys, "--jump", str(jump), str(closed))
    assert code == 7
    steps, message = out.split("\n\n")
    assert steps.splitlines()[-1].startswith("FAILED target ")
    assert "TargetRefused" in steps
    assert message.startswith("The jump server works")
    assert max(map(len, message.splitlines())) <= 40


async def test_unknown_name_fails_the_name_step(capsys, monkeypatch):
    def getaddrinfo(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    detail, advice = await failed_step(capsys, "name", "home.example:9527", "x:1")
    assert detail == "JumpHostUnreachable: jump host home.example:9527: no such host"
    assert "spelling" in advice


async def test_name_that_the_codec_refuses_fails_the_name_step(capsys, monkeypatch):
    def getaddrinfo(*_, **__):
        raise UnicodeError("label too long")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    detail, _ = await failed_step(capsys, "name", "home.example:9527", "x:1")
    assert detail.endswith("no such host")


async def test_silent_name_server_fails_the_name_step_in_time(capsys, monkeypatch):
    finished = asyncio.Event()
    loop = asyncio.get_running_loop()

    def getaddrinfo(*_, **__):
        asyncio.run_coroutine_threadsafe(finished.wait(), loop).result()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    code, report = await doctor_report(
        capsys, "home.example:9527", "x:1", "--lookup-timeout", str(TIMEOUT_S)
    )
    finished.set()
    assert code == EXIT_CODES["name"]
    assert report["steps"][0]["detail"].endswith("its name was not looked up in time (i/o timeout)")
    assert report["steps"][0]["seconds"] >= TIMEOUT_S


async def test_refused_connection_fails_the_connect_step(capsys):
    detail, advice = await failed_step(capsys, "connect", closed_port(), "x:1")
    assert detail.endswith("connection refused")
    assert "Start the jump server" in advice


async def test_unanswered_connection_fails_the_connect_step(capsys):
    with unresponsive() as address:
        code, report = await doctor_report(capsys, address, "x:1", "--dial-timeout", str(TIMEOUT_S))
    assert code == EXIT_CODES["connect"]
    assert report["steps"][1]["detail"].endswith("i/o timeout")
    assert report["steps"][1]["seconds"] >= TIMEOUT_S
    assert "firewall" in report["advice"]


async def test_next_address_is_tried_if_the_first_refuses(capsys, monkeypatch):
    async with jump_server_running() as (_, jump), serving(echo) as target:
        addresses = [("127.0.0.1", closed_port().port), ("127.0.0.1", jump.port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        code, _ = await doctor_report(capsys, "home.example:9527", str(target.address))
    assert code == 0


@pytest.mark.parametrize(
    ("behave", "message", "advice_part"),
    [
        (black_hole, "JumpHostTimeout", "sends nothing"),
        (scripted(CHALLENGE[:9], Step.SILENCE), "JumpHostTimeout", "sends nothing"),
        (scripted(), "closed the connection without a challenge", "not in the netjumper protocol"),
        (
            scripted(SSH, Step.SILENCE),
            "text and no challenge: 'SSH-2.0-Other",
            "not in the netjumper protocol",
        ),
        (
            scripted(SSH * 5, Step.SILENCE),
            "text and no challenge: 'SSH-2.0-O",
            "not in the netjumper protocol",
        ),
        (scripted(SSH), "text and no challenge: 'SSH-2.0-Other", "not in the netjumper protocol"),
    ],
    ids=["silent", "half a challenge", "closed", "short text", "long text", "text and closed"],
)
async def test_other_server_fails_the_challenge_step(behave, message, advice_part, capsys):
    async with serving(behave) as peer:
        detail, advice = await failed_step(
            capsys, "challenge", peer.address, "x:1", "--jump-timeout", "0.2"
        )
    assert message in detail
    assert advice_part in advice


async def test_wrong_secret_fails_the_secret_step(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", "another-secret-of-theirs")
    async with jump_server_running() as (_, jump):
        detail, advice = await failed_step(capsys, "secret", jump, "x:1")
    assert detail == f"WrongSecret: jump host {jump}: challenge failed, check secret"
    assert "different secrets" in advice


async def test_expired_client_gets_no_advice_to_compare_secrets(capsys):
    expired = Client(
        name="old", secrets=(SECRET,), guard=Guard(), expires=datetime(2026, 1, 1, tzinfo=UTC)
    )
    async with jump_server_running(clients=Clients([expired])) as (_, jump):
        detail, advice = await failed_step(capsys, "secret", jump, "x:1")
    assert detail == f"WrongSecret: jump host {jump}: access of old ended 2026-01-01"
    assert "the secret is right, but this client's access has expired" in advice
    assert "different secrets" not in advice


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        (scripted(CHALLENGE, ANSWER, Step.SILENCE), "JumpHostTimeout"),
        (scripted(CHALLENGE, ANSWER), "without a verdict"),
        (scripted(CHALLENGE, ANSWER, Step.RESET), "lost in the middle of the handshake"),
    ],
    ids=["silent", "closed", "reset"],
)
async def test_missing_verdict_fails_the_secret_step(behave, message, capsys):
    async with serving(behave) as peer:
        detail, advice = await failed_step(
            capsys, "secret", peer.address, "x:1", "--jump-timeout", "0.2"
        )
    assert message in detail
    assert "different secrets" not in advice


@pytest.mark.parametrize("last", [Step.SILENCE, Step.RESET, b""])
async def test_missing_outcome_fails_the_target_step(last, capsys):
    target = closed_port()
    steps = scripted(CHALLENGE, ANSWER, b"\0", destination_size(target), last)
    async with serving(steps) as peer:
        _, advice = await failed_step(
            capsys, "target", peer.address, str(target), "--jump-timeout", "0.2"
        )
    assert "did not report whether it reached the target" in advice


async def test_name_unknown_to_the_jump_server_fails_the_target_step(capsys):
    async with jump_server_running() as (_, jump):
        detail, advice = await failed_step(capsys, "target", jump, "nowhere.example:1")
    assert detail.startswith("NameNotFound")
    assert "does not exist" in advice


@pytest.mark.parametrize(
    ("sent", "step"),
    [
        ((), "challenge"),
        ((CHALLENGE, ANSWER), "secret"),
        ((CHALLENGE, ANSWER, b"\0", destination_size(TARGET)), "target"),
        ((CHALLENGE, ANSWER, b"\0", destination_size(TARGET), b"\0"), "throughput"),
    ],
    ids=STEPS[2:],
)
async def test_step_is_reported_with_the_time_that_it_took(sent, step, capsys):
    waited = ["--jump-timeout", str(TIMEOUT_S), f"http://{TARGET}/"]
    async with serving(scripted(*sent, Step.SILENCE)) as peer:
        _, report = await doctor_report(capsys, peer.address, *waited)
        _, text = await doctor(capsys, "--jump", str(peer.address), *waited)
    last = report["steps"][-1]
    assert last["step"] == step
    assert TIMEOUT_S <= last["seconds"] < 100 * TIMEOUT_S
    _, name, milliseconds, unit, *_ = text.split("\n\n")[0].splitlines()[-1].split()
    assert (name, unit) == (step, "ms")
    assert 1000 * TIMEOUT_S <= float(milliseconds) < 100_000 * TIMEOUT_S


async def test_jump_host_address_is_not_looked_up(capsys):
    async with jump_server_running() as (_, jump), serving(echo) as target:
        _, by_address = await doctor_report(capsys, jump, str(target.address))
        _, by_name = await doctor_report(capsys, f"localhost:{jump.port}", str(target.address))
    assert "nothing to look up" in by_address["steps"][0]["detail"]
    assert by_name["steps"][0]["detail"].startswith("localhost is ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "no jump server given"), (["--jump", "x:1", "a:1", "b:1"], "too many arguments")],
)
def test_invalid_settings_exit_with_2(arguments, message, capsys):
    assert bridge.main(["doctor", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_missing_jump_host_message_does_not_suggest_embedded(capsys):
    assert bridge.main(["doctor"]) == 2
    message = capsys.readouterr().err
    assert message == "netjumper-bridge: jump: no jump server given; set --jump HOST:PORT\n"


async def test_public_bridge_listener_is_ignored(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_HTTP", "0.0.0.0:8118")
    async with jump_server_running() as (_, jump), serving(echo) as target:
        assert (await doctor_report(capsys, jump, str(target.address)))[0] == 0


def test_embedded_jump_server_is_refused(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_EMBEDDED", "true")
    assert bridge.main(["doctor"]) == 2
    assert "embedded has no jump server to test; set --jump" in capsys.readouterr().err
