"""Wrong passwords for the bridge: they are delayed, and ban their source."""

import base64
import contextlib
import logging
import time

import pytest

from netjumper.app.bridge import _admission
from netjumper.bridge.credentials import Credentials
from netjumper.sessions import manager
from netjumper.sessions.admission import AdmissionLimits
from netjumper.settings.bridge import BridgeSettings
from tests.support.direct_bridge import RefusingConnector, direct_bridge
from tests.support.forwarded_requests import connected_to, receive_until, request, web
from tests.support.peers import connected, receive_to_end, send

USERS = Credentials({"alice": "open:sesame"})


def connect(password: str | None) -> bytes:
    field = ""
    if password is not None:
        token = base64.b64encode(f"alice:{password}".encode()).decode()
        field = f"Proxy-Authorization: Basic {token}\r\n"
    return f"CONNECT target.example:80 HTTP/1.0\r\n{field}\r\n".encode()


def socks(password: str) -> bytes:
    secret = password.encode()
    target = b"\5\1\0\3\x0etarget.example\0\x50"
    return b"\5\1\2\1\5alice" + bytes((len(secret),)) + secret + target


def bridge_with(**limits):
    return direct_bridge(
        RefusingConnector(), credentials=USERS, admission=AdmissionLimits(**limits)
    )


async def answer(service, listener: str, request: bytes) -> bytes:
    """Return the answer to a request; empty if the connection is reset."""
    with contextlib.suppress(ConnectionError):
        with await connected(service.address_of(listener)) as sock:
            await send(sock, request)
            return await receive_to_end(sock)
    return b""


@pytest.mark.parametrize(("listener", "guess"), [("http", connect), ("socks", socks)])
async def test_wrong_passwords_ban_their_source(listener, guess, monkeypatch, caplog):
    monkeypatch.setattr(manager, "REFUSAL_DELAY_S", 0.01)
    async with bridge_with(auth_failures=3) as service:
        for _ in range(3):
            assert await answer(service, listener, guess("sesame"))
        assert await answer(service, listener, guess("open:sesame")) == b""
    banned = "banned 127.0.0.1 for 60 s after 3 failed authentications, last from 127.0.0.1"
    assert banned in caplog.messages


async def test_missing_passwords_are_no_failures(caplog):
    async with bridge_with(auth_failures=1) as service:
        for _ in range(3):
            assert b" 407 " in await answer(service, "http", connect(None))
            assert await answer(service, "socks", b"\5\1\0") == b"\5\xff"
            assert await answer(service, "socks", b"\4\1\0\x50\1\2\3\4\0")
        assert b" 502 " in await answer(service, "http", connect("open:sesame"))
    assert "banned" not in caplog.text


async def test_wrong_password_in_a_later_request_is_counted(caplog):
    def get(target: object, password: str) -> bytes:
        token = base64.b64encode(f"alice:{password}".encode()).decode()
        return request(target, "/", f"Proxy-Authorization: Basic {token}")

    limits = AdmissionLimits(auth_failures=1)
    async with (
        web() as (target, heads),
        direct_bridge(credentials=USERS, admission=limits) as service,
    ):
        with await connected_to(service) as sock:
            await send(sock, get(target, "open:sesame"))
            await receive_until(sock, b"ok")
            await send(sock, get(target, "sesame"))
            assert b" 407 " in await receive_to_end(sock)
    assert len(heads) == 1
    assert any(it.startswith("banned 127.0.0.1 ") for it in caplog.messages)


async def test_programs_of_the_same_machine_are_delayed_but_not_banned(monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(manager, "REFUSAL_DELAY_S", 0.2)
    async with bridge_with(auth_failures=2, bans_loopback=False) as service:
        began = time.monotonic()
        for _ in range(4):
            assert b" 407 " in await answer(service, "http", connect("sesame"))
        assert time.monotonic() - began >= 3 * 0.2
        assert b" 502 " in await answer(service, "http", connect("open:sesame"))
    assert "banned" not in caplog.text


def test_settings_limit_failures_but_spare_this_machine():
    limits = _admission(BridgeSettings(embedded=True, max_auth_failures=4, ban_time=7.0))
    assert (limits.auth_failures, limits.ban_time, limits.bans_loopback) == (4, 7.0, False)
    assert limits.unauthenticated == 1000
