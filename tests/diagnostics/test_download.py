"""The last step of `netjumper-bridge doctor`: a download, and what can be its target."""

import asyncio
import contextlib
import re
import ssl
import time

import pytest

from netjumper.diagnostics import download, steps
from netjumper.diagnostics.download import MAX_DOWNLOAD_S, MIN_MEASURED_BYTES
from netjumper.diagnostics.probe import Probe
from netjumper.diagnostics.steps import DiagnosisTarget
from netjumper.errors import JumpHostTimeout, SettingsError
from tests.support.doctor import doctor_report
from tests.support.peers import receive, reset_after, serving
from tests.support.programs import web_server
from tests.support.scripted_peer import Step, dripping, scripted
from tests.support.servers import serving_context, trusting_context
from tests.support.services import SECRET, jump_server_running


@pytest.fixture(autouse=True)
def with_secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET.decode())


async def test_the_throughput_of_a_download_is_measured(capsys):
    with web_server() as port:
        async with jump_server_running() as (_, jump):
            _, message = await doctor_report(capsys, jump, f"http://127.0.0.1:{port}/blocks/3")
    throughput = message["steps"][-1]
    assert throughput["ok"] is True
    assert "/s over 3.1 MB" in throughput["detail"]


async def test_throughput_over_tls_with_a_valid_certificate_is_measured(
    authority, capsys, monkeypatch
):
    ours = trusting_context(authority)
    with web_server(serving_context(authority, "target.example")) as port:
        async with jump_server_running() as (_, jump):
            url = f"https://target.example:{port}/blocks/1"
            trust_error = (await doctor_report(capsys, jump, url))[1]["steps"][-1]
            monkeypatch.setattr(ssl, "create_default_context", lambda: ours)
            trusted = (await doctor_report(capsys, jump, url))[1]["steps"][-1]
    assert trust_error["ok"] is None
    assert "certificate" in trust_error["detail"].lower()
    assert trusted["ok"] is True


async def test_a_page_that_is_too_small_is_not_measured_and_no_failure(capsys):
    with web_server() as port:
        async with jump_server_running() as (_, jump):
            code, message = await doctor_report(capsys, jump, f"http://127.0.0.1:{port}/")
    assert code == 0
    assert "too few" in message["steps"][-1]["detail"]


@pytest.mark.parametrize("data", [b"x", b""], ids=["dripping", "silent"])
async def test_a_slow_body_is_measured_for_a_limited_time(data, capsys, monkeypatch):
    monkeypatch.setattr(download, "MAX_DOWNLOAD_S", 0.5)
    monkeypatch.setattr(steps, "MAX_DOWNLOAD_S", 0.5)
    head = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MIN_MEASURED_BYTES)
    behave = dripping(data, after=head) if data else scripted(head, Step.SILENCE)
    async with jump_server_running() as (_, jump), serving(behave) as target:
        _, message = await doctor_report(capsys, jump, f"http://{target.address}/")
    assert message["steps"][-1]["seconds"] < 5


@pytest.mark.parametrize("head_size", [None, 10], ids=["whole_head", "split_head"])
async def test_a_download_ends_with_its_content_on_a_kept_connection(head_size, capsys):
    size = 8 * MIN_MEASURED_BYTES
    answer = f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode() + bytes(size)
    behave = scripted(answer[:head_size], 1, answer[head_size:] if head_size else b"", Step.SILENCE)
    async with jump_server_running() as (_, jump), serving(behave) as target:
        _, message = await doctor_report(capsys, jump, f"http://{target.address}/")
    assert message["steps"][-1]["ok"] is True
    assert message["steps"][-1]["seconds"] < MAX_DOWNLOAD_S / 2


async def test_all_steps_end_by_the_deadline():
    async with serving(dripping(b" " + bytes(32))) as jump:
        tried = Probe(
            jump.address, SECRET, lookup_timeout=60.0, dial_timeout=60.0, jump_timeout=60.0
        )
        began = tried.deadline = time.monotonic() + 0.3
        with contextlib.closing(tried):
            tried.look_up()
            tried.connect()
            with pytest.raises(JumpHostTimeout):
                await asyncio.to_thread(tried.challenge)
    assert time.monotonic() - began < 5


async def test_a_web_server_that_resets_is_not_measured_and_no_failure(capsys):
    async with jump_server_running() as (_, jump), serving(reset_after(1)) as target:
        code, message = await doctor_report(capsys, jump, f"http://{target.address}/")
    assert code == 0
    assert "the target was reached, then" in message["steps"][-1]["detail"]


async def read_request(sock):
    """Take an HTTP request without a body, and close."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += await receive(sock)


async def test_silent_web_server_is_reported(capsys):
    async with (
        jump_server_running() as (_, jump),
        serving(read_request) as target,
    ):
        code, message = await doctor_report(capsys, jump, f"http://{target.address}/")
    assert code == 0
    assert message["steps"][-1]["ok"] is None
    assert "closed the connection without an answer" in message["steps"][-1]["detail"]


async def test_a_download_that_takes_all_the_time_is_measured_however_small_it_is(
    capsys, monkeypatch
):
    monkeypatch.setattr(steps, "MAX_DOWNLOAD_S", 0.0)
    with web_server() as port:
        async with jump_server_running() as (_, jump):
            _, message = await doctor_report(capsys, jump, f"http://127.0.0.1:{port}/")
    assert message["steps"][-1]["ok"] is True
    assert re.search(r"/s over \d+ B$", message["steps"][-1]["detail"])


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
    goal = DiagnosisTarget.parse(text)
    assert (str(goal.target), goal.path, goal.tls) == (target, path, tls)


@pytest.mark.parametrize(
    "text",
    ["example.org", "x:0", "ftp://x/", "http://", "http://u:p@x/", "http://x:99999/", "http://x/ö"],
)
def test_invalid_target_is_reported(text):
    with pytest.raises(SettingsError, match=r"^TARGET: "):
        DiagnosisTarget.parse(text)


@pytest.mark.parametrize(
    "text", ["u:s3cret@x:80", "http://u:s3cret@x/", "s3cret@x", "ftp://s3cret@/"]
)
def test_password_in_a_target_is_not_repeated(text):
    with pytest.raises(SettingsError, match=r"^TARGET: expected .* without user and password$"):
        DiagnosisTarget.parse(text)
