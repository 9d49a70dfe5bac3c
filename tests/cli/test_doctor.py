"""`netjumper-bridge doctor`: each step told, the first failure explained, its exit code."""

import asyncio
import json
import re
import socket
import ssl

import pytest
import trustme

from netjumper.cli import bridge, examination, probe
from netjumper.cli.examination import EXIT_CODES, Goal
from netjumper.settings import SettingsError
from programs import BLOCK, web_server
from rogues import (
    ANSWER,
    CHALLENGE,
    Step,
    black_hole,
    closed_port,
    destination_size,
    echo,
    receive,
    reset_after,
    scripted,
    serving,
    unanswering,
)
from services import SECRET, jump_server_running

SSH = b"SSH-2.0-Other_9.2p1\r\n"
"""Its first byte says that 83 of a challenge follow."""
STEPS = ["name", "connect", "challenge", "secret", "target", "throughput"]


@pytest.fixture(autouse=True)
def with_secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())


async def doctor(capsys, *arguments):
    """Run it beside this loop; return the exit code and what it said."""
    code = await asyncio.to_thread(bridge.main, ["doctor", *arguments])
    out, err = capsys.readouterr()
    assert err == ""
    assert SECRET.decode() not in out
    return code, out


async def examined(capsys, jump, *arguments):
    """Return the exit code and what `--json` says."""
    code, out = await doctor(capsys, "--json", "--jump", str(jump), *arguments)
    told = json.loads(out)
    assert told["exit_code"] == code
    assert told["ok"] is (code == 0)
    assert [step["step"] for step in told["steps"]] == STEPS[: len(told["steps"])]
    assert all(step["seconds"] >= 0 for step in told["steps"])
    return code, told


async def failing(capsys, step, jump, *arguments):
    """Return what the step that failed said, and the advice."""
    code, told = await examined(capsys, jump, *arguments)
    *before, last = told["steps"]
    assert (last["step"], last["ok"], code) == (step, False, EXIT_CODES[step])
    assert all(step["ok"] for step in before)
    assert told["advice"]
    return last["told"], told["advice"]


async def test_all_is_well_as_far_as_a_target(capsys):
    async with jump_server_running() as (_, jump), serving(echo) as target:
        code, out = await doctor(capsys, "--jump", str(jump), str(target.address))
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [line[1] for line in lines] == STEPS
    assert [line[0] for line in lines] == ["ok"] * 5 + ["-"]
    assert all(float(line[2]) >= 0 and line[3] == "ms" for line in lines)
    assert f"{target.address} is reached" in out


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

    monkeypatch.setattr(probe.socket, "getaddrinfo", find)
    told, advice = await failing(capsys, "name", "home.example:9527", "x:1")
    assert told == "JumpHostUnreachable: jump host home.example:9527: no such host"
    assert "spelling" in advice


async def test_a_name_that_the_codec_refuses_fails_the_first_step(capsys, monkeypatch):
    def find(*_, **__):
        raise UnicodeError("label too long")

    monkeypatch.setattr(probe.socket, "getaddrinfo", find)
    told, _ = await failing(capsys, "name", "home.example:9527", "x:1")
    assert told.endswith("no such host")


async def test_a_name_server_that_is_silent_fails_the_first_step_in_time(capsys, monkeypatch):
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def find(*_, **__):
        asyncio.run_coroutine_threadsafe(asked.wait(), loop).result()
        return []

    monkeypatch.setattr(probe.socket, "getaddrinfo", find)
    told, _ = await failing(capsys, "name", "home.example:9527", "x:1", "--dial-timeout", "0.1")
    asked.set()
    assert told.endswith("i/o timeout")


async def test_a_jump_host_that_refuses_fails_the_connect(capsys):
    told, advice = await failing(capsys, "connect", closed_port(), "x:1")
    assert told.endswith("connection refused")
    assert "Start the jump server" in advice


async def test_a_jump_host_that_does_not_answer_fails_the_connect(capsys):
    with unanswering() as address:
        told, advice = await failing(capsys, "connect", address, "x:1", "--dial-timeout", "0.2")
    assert told.endswith("i/o timeout")
    assert "firewall" in advice


async def test_the_next_address_is_tried_where_the_first_refuses(capsys, monkeypatch):
    async with jump_server_running() as (_, jump), serving(echo) as target:
        places = [("127.0.0.1", closed_port().port), ("127.0.0.1", jump.port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
        monkeypatch.setattr(probe.socket, "getaddrinfo", lambda *_, **__: found)
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


async def test_the_throughput_of_a_download_is_measured(capsys):
    with web_server() as port:
        async with jump_server_running() as (_, jump):
            _, told = await examined(capsys, jump, f"http://127.0.0.1:{port}/blocks/3")
    throughput = told["steps"][-1]
    assert throughput["ok"] is True
    assert "/s over 3.1 MB" in throughput["told"]
    assert 3 * len(BLOCK) == 3145728


async def test_the_throughput_of_tls_is_measured_where_the_certificate_is_right(
    capsys, monkeypatch
):
    authority = trustme.CA()
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("target.example").configure_cert(server)
    with web_server(server) as port:
        async with jump_server_running() as (_, jump):
            url = f"https://target.example:{port}/blocks/1"
            untrusted = (await examined(capsys, jump, url))[1]["steps"][-1]
            monkeypatch.setattr(ssl, "create_default_context", lambda: ours)
            trusted = (await examined(capsys, jump, url))[1]["steps"][-1]
    assert untrusted["ok"] is None
    assert "certificate" in untrusted["told"].lower()
    assert trusted["ok"] is True


async def test_a_page_that_is_too_small_is_not_measured_and_no_failure(capsys):
    with web_server() as port:
        async with jump_server_running() as (_, jump):
            code, told = await examined(capsys, jump, f"http://127.0.0.1:{port}/")
    assert code == 0
    assert "too few" in told["steps"][-1]["told"]


async def test_a_web_server_that_resets_is_not_measured_and_no_failure(capsys):
    async with jump_server_running() as (_, jump), serving(reset_after(1)) as target:
        code, told = await examined(capsys, jump, f"http://{target.address}/")
    assert code == 0
    assert "the target was reached, then" in told["steps"][-1]["told"]


async def read_request(sock):
    """Take an HTTP request without a body, and close."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += await receive(sock)


async def test_a_web_server_that_does_not_answer_is_told(capsys):
    async with (
        jump_server_running() as (_, jump),
        serving(read_request) as target,
    ):
        code, told = await examined(capsys, jump, f"http://{target.address}/")
    assert code == 0
    assert told["steps"][-1]["ok"] is None
    assert "closed the connection without an answer" in told["steps"][-1]["told"]


async def test_a_download_that_takes_all_the_time_is_measured_however_small_it_is(
    capsys, monkeypatch
):
    monkeypatch.setattr(examination, "LONGEST", 0.0)
    with web_server() as port:
        async with jump_server_running() as (_, jump):
            _, told = await examined(capsys, jump, f"http://127.0.0.1:{port}/")
    assert told["steps"][-1]["ok"] is True
    assert re.search(r"/s over \d+ B$", told["steps"][-1]["told"])


async def test_a_jump_host_by_address_is_not_called_looked_up(capsys):
    async with jump_server_running() as (_, jump), serving(echo) as target:
        _, by_address = await examined(capsys, jump, str(target.address))
        _, by_name = await examined(capsys, f"localhost:{jump.port}", str(target.address))
    assert "nothing to look up" in by_address["steps"][0]["told"]
    assert by_name["steps"][0]["told"].startswith("localhost is ")


@pytest.mark.parametrize(
    ("text", "target", "path", "tls"),
    [
        ("example.org:443", "example.org:443", "/", True),
        ("example.org:80", "example.org:80", "/", False),
        ("db.example.org:5432", "db.example.org:5432", "", False),
        ("https://example.org", "example.org:443", "/", True),
        ("http://[::1]:8080/a?b", "[::1]:8080", "/a?b", False),
    ],
)
def test_a_target_is_an_address_or_a_url(text, target, path, tls):
    goal = Goal.parse(text)
    assert (str(goal.target), goal.path, goal.tls) == (target, path, tls)


@pytest.mark.parametrize(
    "text",
    ["example.org", "x:0", "ftp://x/", "http://", "http://u:p@x/", "http://x:99999/", "http://x/ö"],
)
def test_a_target_that_is_none_is_told(text):
    with pytest.raises(SettingsError, match=r"^TARGET: "):
        Goal.parse(text)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [([], "there is no jump server"), (["--jump", "x:1", "a:1", "b:1"], "too many arguments")],
)
def test_settings_that_are_wrong_end_with_2(arguments, told, capsys):
    assert bridge.main(["doctor", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1


def test_with_an_embedded_server_there_is_nothing_to_examine(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_EMBEDDED", "true")
    assert bridge.main(["doctor"]) == 2
    assert "give --jump" in capsys.readouterr().err
