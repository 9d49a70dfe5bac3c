"""TLS on one side only: what the jump server logs, and what doctor advises."""

import asyncio
import json
import logging
import socket

import pytest

from netjumper.client.background_loop import in_background
from netjumper.diagnostics.steps import EXIT_CODES
from tests.support.doctor import doctor
from tests.support.peers import connected, eventually, receive_exactly, reset, send
from tests.support.services import SECRET, jump_server_running
from tests.support.tls_pair import Sides, sides_of, tls_jump_server

CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)
PIN = "?pin=" + "a" * 64


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return sides_of(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def background_loop() -> None:
    """Start the process's background loop, which doctor uses, before descriptors are counted."""
    in_background(asyncio.sleep(0))


@pytest.fixture
def no_silence_is_short(monkeypatch):
    monkeypatch.setattr("netjumper.sessions.handshake_phase.TLS_SILENCE_S", 0.0)


@pytest.mark.usefixtures("no_silence_is_short")
@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
async def test_client_that_says_nothing_to_a_tls_port_is_logged(leave, sides, caplog):
    caplog.set_level(logging.INFO)
    async with tls_jump_server(sides) as jump:
        sock = await connected(jump)
        name = "{}:{}".format(*sock.getsockname())
        leave(sock)
        await eventually(lambda: caplog.messages)
    assert caplog.messages == [
        f"{name} said nothing for 0 s; this port is for TLS: a bridge needs netjumper+tls://"
    ]


@pytest.mark.usefixtures("no_silence_is_short")
async def test_client_that_speaks_to_a_tls_port_is_not_called_silent(sides, caplog):
    caplog.set_level(logging.INFO)
    async with tls_jump_server(sides) as jump:
        with await connected(jump) as sock:
            await send(sock, b"\x16\x03")
        await asyncio.sleep(0)
    assert not [it for it in caplog.messages if "said nothing" in it]


async def test_port_scan_of_a_tls_port_leaves_no_line_in_the_log(sides, caplog):
    caplog.set_level(logging.INFO)
    async with tls_jump_server(sides) as jump:
        (await connected(jump)).close()
    assert caplog.messages == []


async def test_tls_on_a_port_without_it_is_named_in_the_log(caplog):
    async with jump_server_running() as (_, jump):
        with await connected(jump) as sock:
            await receive_exactly(sock, 33)
            await send(sock, CLIENT_HELLO)
            await eventually(lambda: caplog.messages)
    assert "it begins TLS on a port without TLS; use the port of listen_tls" in caplog.messages[0]


@pytest.fixture
def secret_in_the_environment(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())


@pytest.mark.usefixtures("secret_in_the_environment")
async def test_doctor_without_tls_at_a_tls_port_advises_tls(sides, capsys, monkeypatch):
    monkeypatch.setattr("netjumper.client.silence.SILENCE_S", 0.1)
    async with tls_jump_server(sides) as jump:
        timeout = ["--jump-timeout", "0.2"]
        code, out = await doctor(capsys, "--json", "--jump", str(jump), *timeout, "x:1")
    report = json.loads(out)
    assert code == EXIT_CODES["challenge"]
    assert report["steps"][-1]["detail"].endswith(
        "if that port is one of listen_tls, write netjumper+tls://"
    )
    assert "write netjumper+tls:// in --jump" in report["advice"]


@pytest.mark.usefixtures("secret_in_the_environment", "background_loop")
async def test_doctor_with_tls_at_a_port_without_it_does_not_speak_of_attackers(capsys):
    async with jump_server_running() as (_, jump):
        url = f"netjumper+tls://{jump}{PIN}"
        code, out = await doctor(capsys, "--json", "--jump", url, "x:1")
    report = json.loads(out)
    assert code == EXIT_CODES["tls"]
    assert report["steps"][-1]["detail"].endswith(
        "it does not speak TLS there; use the port of listen_tls"
    )
    assert "use the port of its listen_tls" in report["advice"]
    assert "attacker" not in report["advice"]
