"""`netjumper-bridge doctor`: each step told, the first failure explained, its exit code."""

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
from tests.support.doctor import STEPS, doctor, examined
from tests.support.peers import (
    ANSWER,
    CHALLENGE,
    Step,
    address_of,
    black_hole,
    closed_port,
    destination_size,
    echo,
    listening,
    scripted,
    serving,
    unanswering,
)
from tests.support.services import SECRET, jump_server_running

SSH = b"SSH-2.0-Other_9.2p1\r\n"
"""Its first byte says that 83 of a challenge follow."""
PATIENCE = 0.2
"""Seconds that a step waits for what does not come."""
TARGET = Address("target.example", 80)


@pytest.fixture(autouse=True)
def with_secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())


async def failing(capsys, step, jump, *arguments):
    """Return what the step that failed said, and the advice."""
    code, told = await examined(capsys, jump, *arguments)
    *before, last = told["steps"]
    assert (last["step"], last["ok"], code) == (step, False, EXIT_CODES[step])
    assert all(step["ok"] for step in before)
    assert told["advice"]
    return last["detail"], told["advice"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux' user timeout")
def test_its_connection_has_no_user_timeout_as_nobody_suspends_it():
    with listening() as jump:
        tried = probe.Probe(address_of(jump), SECRET, dial_timeout=10.0, jump_timeout=10.0)
        with contextlib.closing(tried):
            tried.look_up()
            tried.connect()
            assert tried.tunnel.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


async def test_all_is_well_as_far_as_a_target(capsys):
    async with jump_server_running() as (_, jump), serving(echo) as target:
        code, out = await doctor(capsys, "--jump", str(jump), str(target.address))
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [line[1] for line in lines] == STEPS
    assert [line[0] for line in lines] == ["ok"] * 5 + ["-"]
    assert f"{target.address} is reached" in out


async def test_several_jump_servers_are_examined_one_after_the_other(capsys):
    nobody = closed_port()
    async with jump_server_running() as (_, jump), serving(echo) as target:
        hosts = ["--jump", str(jump), "--jump", str(nobody)]
        code, out = await doctor(capsys, *hosts, str(target.address))
        as_json = await doctor(capsys, "--json", *hosts, str(target.address))
    assert code == EXIT_CODES["connect"]
    first, second = out.split(f"\njump host {nobody}:\n")
    assert first.startswith(f"jump host {jump}:\nok ")
    assert f"{target.address} is reached" in first
    assert "FAILED connect" in second
    assert as_json[0] == code
    assert [json.loads(line)["ok"] for line in as_json[1].splitlines()] == [True, False]


async def test_a_failure_is_explained_behind_the_steps_as_wide_as_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    nowhere = closed_port()
    async with jump_server_running() as (_, jump):
        code, out = await doctor(capsys, "--jump", str(jump), str(nowhere))
    assert code == 7
    steps, told = out.split("\n\n")
    assert steps.splitlines()[-1].startswith("FAILED target ")
    assert "TargetRefused" in steps
    assert told.startswith("The jump server is fine")
    assert max(map(len, told.splitlines())) <= 40


async def test_a_name_that_does_not_exist_fails_the_first_step(capsys, monkeypatch):
    def find(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find)
    told, advice = await failing(capsys, "name", "home.example:9527", "x:1")
    assert told == "JumpHostUnreachable: jump host home.example:9527: no such host"
    assert "spelling" in advice


async def test_a_name_that_the_codec_refuses_fails_the_first_step(capsys, monkeypatch):
    def find(*_, **__):
        raise UnicodeError("label too long")

    monkeypatch.setattr(socket, "getaddrinfo", find)
    told, _ = await failing(capsys, "name", "home.example:9527", "x:1")
    assert told.endswith("no such host")


async def test_a_name_server_that_is_silent_fails_the_first_step_in_time(capsys, monkeypatch):
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def find(*_, **__):
        asyncio.run_coroutine_threadsafe(asked.wait(), loop).result()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", find)
    code, told = await examined(capsys, "home.example:9527", "x:1", "--dial-timeout", str(PATIENCE))
    asked.set()
    assert code == EXIT_CODES["name"]
    assert told["steps"][0]["detail"].endswith("i/o timeout")
    assert told["steps"][0]["seconds"] >= PATIENCE


async def test_a_jump_host_that_refuses_fails_the_connect(capsys):
    told, advice = await failing(capsys, "connect", closed_port(), "x:1")
    assert told.endswith("connection refused")
    assert "Start the jump server" in advice


async def test_a_jump_host_that_does_not_answer_fails_the_connect(capsys):
    with unanswering() as address:
        code, told = await examined(capsys, address, "x:1", "--dial-timeout", str(PATIENCE))
    assert code == EXIT_CODES["connect"]
    assert told["steps"][1]["detail"].endswith("i/o timeout")
    assert told["steps"][1]["seconds"] >= PATIENCE
    assert "firewall" in told["advice"]


async def test_the_next_address_is_tried_where_the_first_refuses(capsys, monkeypatch):
    async with jump_server_running() as (_, jump), serving(echo) as target:
        places = [("127.0.0.1", closed_port().port), ("127.0.0.1", jump.port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        code, _ = await examined(capsys, "home.example:9527", str(target.address))
    assert code == 0


@pytest.mark.parametrize(
    ("behave", "told", "advised"),
    [
        (black_hole, "JumpHostTimeout", "says nothing"),
        (scripted(CHALLENGE[:9], Step.SILENCE), "JumpHostTimeout", "says nothing"),
        (scripted(), "closed the connection without a challenge", "does not speak"),
        (scripted(SSH, Step.SILENCE), "text and no challenge: 'SSH-2.0-Other", "does not speak"),
        (scripted(SSH * 5, Step.SILENCE), "text and no challenge: 'SSH-2.0-O", "does not speak"),
        (scripted(SSH), "text and no challenge: 'SSH-2.0-Other", "does not speak"),
    ],
    ids=["silent", "half a challenge", "closed", "short text", "long text", "text and closed"],
)
async def test_what_is_no_jump_server_fails_the_challenge(behave, told, advised, capsys):
    async with serving(behave) as peer:
        said, advice = await failing(
            capsys, "challenge", peer.address, "x:1", "--jump-timeout", "0.2"
        )
    assert told in said
    assert advised in advice


async def test_a_secret_that_differs_fails_the_secret(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", "another")
    async with jump_server_running() as (_, jump):
        told, advice = await failing(capsys, "secret", jump, "x:1")
    assert told == f"WrongSecret: jump host {jump}: challenge failed, check secret"
    assert "secrets differ" in advice


async def test_a_client_whose_time_is_over_is_not_told_to_compare_secrets(capsys):
    over = Client(
        name="old", secrets=(SECRET,), guard=Guard(), expires=datetime(2026, 1, 1, tzinfo=UTC)
    )
    async with jump_server_running(clients=Clients([over])) as (_, jump):
        told, advice = await failing(capsys, "secret", jump, "x:1")
    assert told == f"WrongSecret: jump host {jump}: access of old ended 2026-01-01"
    assert "the secret is right, but this client's time is over" in advice
    assert "secrets differ" not in advice


@pytest.mark.parametrize(
    ("behave", "told"),
    [
        (scripted(CHALLENGE, ANSWER, Step.SILENCE), "JumpHostTimeout"),
        (scripted(CHALLENGE, ANSWER), "without a verdict"),
        (scripted(CHALLENGE, ANSWER, Step.RESET), "lost in the middle of the handshake"),
    ],
    ids=["silent", "closed", "reset"],
)
async def test_a_verdict_that_does_not_come_fails_the_secret(behave, told, capsys):
    async with serving(behave) as peer:
        said, advice = await failing(capsys, "secret", peer.address, "x:1", "--jump-timeout", "0.2")
    assert told in said
    assert "secrets differ" not in advice


@pytest.mark.parametrize("last", [Step.SILENCE, Step.RESET, b""])
async def test_an_outcome_that_does_not_come_fails_the_target(last, capsys):
    target = closed_port()
    steps = scripted(CHALLENGE, ANSWER, b"\0", destination_size(target), last)
    async with serving(steps) as peer:
        _, advice = await failing(
            capsys, "target", peer.address, str(target), "--jump-timeout", "0.2"
        )
    assert "did not say what became of the target" in advice


async def test_a_name_unknown_to_the_jump_server_fails_the_target(capsys):
    async with jump_server_running() as (_, jump):
        told, advice = await failing(capsys, "target", jump, "nowhere.example:1")
    assert told.startswith("NameNotFound")
    assert "does not exist" in advice


@pytest.mark.parametrize(
    ("said", "step"),
    [
        ((), "challenge"),
        ((CHALLENGE, ANSWER), "secret"),
        ((CHALLENGE, ANSWER, b"\0", destination_size(TARGET)), "target"),
        ((CHALLENGE, ANSWER, b"\0", destination_size(TARGET), b"\0"), "throughput"),
    ],
    ids=STEPS[2:],
)
async def test_a_step_is_told_with_the_time_that_it_waited(said, step, capsys):
    waited = ["--jump-timeout", str(PATIENCE), f"http://{TARGET}/"]
    async with serving(scripted(*said, Step.SILENCE)) as peer:
        _, told = await examined(capsys, peer.address, *waited)
        _, text = await doctor(capsys, "--jump", str(peer.address), *waited)
    last = told["steps"][-1]
    assert last["step"] == step
    assert PATIENCE <= last["seconds"] < 100 * PATIENCE
    _, name, milliseconds, unit, *_ = text.split("\n\n")[0].splitlines()[-1].split()
    assert (name, unit) == (step, "ms")
    assert 1000 * PATIENCE <= float(milliseconds) < 100_000 * PATIENCE


async def test_a_jump_host_by_address_is_not_called_looked_up(capsys):
    async with jump_server_running() as (_, jump), serving(echo) as target:
        _, by_address = await examined(capsys, jump, str(target.address))
        _, by_name = await examined(capsys, f"localhost:{jump.port}", str(target.address))
    assert "nothing to look up" in by_address["steps"][0]["detail"]
    assert by_name["steps"][0]["detail"].startswith("localhost is ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [([], "no jump server given"), (["--jump", "x:1", "a:1", "b:1"], "too many arguments")],
)
def test_settings_that_are_wrong_end_with_2(arguments, told, capsys):
    assert bridge.main(["doctor", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1


def test_what_it_does_not_have_is_not_suggested(capsys):
    assert bridge.main(["doctor"]) == 2
    told = capsys.readouterr().err
    assert told == "netjumper-bridge: jump: no jump server given; set --jump HOST:PORT\n"


async def test_a_bridges_open_doors_are_no_matter(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_HTTP", "0.0.0.0:8118")
    async with jump_server_running() as (_, jump), serving(echo) as target:
        assert (await examined(capsys, jump, str(target.address)))[0] == 0


def test_with_an_embedded_server_there_is_nothing_to_examine(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_EMBEDDED", "true")
    assert bridge.main(["doctor"]) == 2
    assert "embedded has no jump server to test; set --jump" in capsys.readouterr().err
