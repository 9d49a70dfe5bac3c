"""What a jump server sends to clients that it refuses."""

import asyncio
import logging

import pytest

from netjumper.server.guard import Guard
from tests.support.peers import (
    closed_port,
    connected,
    echo,
    eventually,
    receive_to_end,
    reset,
    send,
    serving,
    unresponsive,
)
from tests.support.services import (
    AUTH_REFUSAL,
    answer,
    destination,
    jump_server_running,
    refusal,
)


async def test_a_wrong_secret_is_refused_with_the_reason_and_an_end_of_stream(server, caplog):
    service, address = server
    with await connected(address) as sock:
        await send(sock, await answer(sock, b"wrong"))
        assert await receive_to_end(sock) == AUTH_REFUSAL
    await eventually(lambda: len(service.sessions) == 0)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("AuthenticationError: wrong secret")
    assert "-> ?" in record.getMessage()


@pytest.mark.parametrize("size", [0, 100, 1024 * 1024])
async def test_a_client_that_sends_on_gets_the_refusal_of_its_secret(server, size):
    _, address = server
    async with serving(echo) as target:
        with await connected(address) as sock:
            wrong = await answer(sock, b"wrong") + destination(target) + b"x" * size
            sending = asyncio.create_task(send(sock, wrong))
            assert await receive_to_end(sock) == AUTH_REFUSAL
            await sending
        assert await target.connection_count() == 0


async def test_a_refused_client_that_never_ends_is_closed_after_a_while(monkeypatch):
    monkeypatch.setattr("netjumper.sessions.manager.LINGER_TIMEOUT_S", 0.1)
    async with jump_server_running() as (service, address):
        with await connected(address) as sock:
            await send(sock, await answer(sock, b"wrong"))
            assert await receive_to_end(sock) == AUTH_REFUSAL
            await eventually(lambda: len(service.sessions) == 0)


async def test_a_refused_client_that_resets_is_forgotten(server):
    service, address = server
    sock = await connected(address)
    await send(sock, await answer(sock, b"wrong"))
    assert await receive_to_end(sock) == AUTH_REFUSAL
    reset(sock)
    await eventually(lambda: len(service.sessions) == 0)


async def test_a_refused_dial_has_the_error_text_of_the_original(server):
    target = closed_port()
    assert await refusal(server[1], target) == f"dial tcp {target}: connect: connection refused"


async def test_an_unknown_name_has_the_error_text_of_the_original(server):
    text = await refusal(server[1], "none.example:80")
    assert text == "dial tcp: lookup none.example: no such host"


async def test_a_dial_timeout_has_the_error_text_of_the_original():
    with unresponsive() as target:
        async with jump_server_running(dial_timeout=0.05) as (_, address):
            assert await refusal(address, target) == f"dial tcp {target}: i/o timeout"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("example.org", "dial tcp: address example.org: missing port in address"),
        ("example.org:99999", "dial tcp: address 99999: invalid port"),
        ("example.org:no-such-service", "dial tcp: address tcp/no-such-service: unknown port"),
        ("", "dial tcp: missing address"),
    ],
)
async def test_an_invalid_destination_has_the_error_text_of_the_original(server, text, message):
    assert await refusal(server[1], text) == message


async def test_a_target_that_the_guard_forbids_is_denied():
    async with serving(echo) as target, jump_server_running(guard=Guard()) as (_, address):
        message = await refusal(address, target)
        assert message == f"dial tcp {target}: refused by a rule, not permitted"
        assert await target.connection_count() == 0


async def test_a_client_that_sent_data_ahead_gets_the_refusal_of_its_target(server):
    _, address = server
    with await connected(address) as sock:
        await send(sock, await answer(sock) + destination(closed_port()) + b"x" * 200_000)
        data = await receive_to_end(sock)
        assert data.startswith(b"\0\1")
        assert data.endswith(b"connect: connection refused")
