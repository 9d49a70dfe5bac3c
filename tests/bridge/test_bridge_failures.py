"""The replies of the bridge if the target or the jump host fails."""

import pytest

from netjumper.addressing.address import Address
from netjumper.server.guard import Guard
from netjumper.sessions.service import Service
from tests.support.peers import closed_port, receive_to_end, serving, unresponsive
from tests.support.proxy_requests import (
    TARGET,
    http_request,
    send_request,
    socks4a_request,
    socks5_request,
)
from tests.support.scripted_peer import ANSWER, CHALLENGE, Script, Step, destination_size, scripted
from tests.support.services import bridge_running, jump_server_running


async def socks5_code(service: Service, target: Address) -> int:
    """Return the code of a complete SOCKS5 reply."""
    with await send_request(service, "socks", socks5_request(target)) as sock:
        reply = await receive_to_end(sock)
    assert reply[:3] == b"\5\0\5"
    assert reply[4:] == b"\0\1\0\0\0\0\0\0"
    return reply[3]


async def socks4_code(service: Service, target: Address) -> int:
    with await send_request(service, "socks", socks4a_request(target)) as sock:
        reply = await receive_to_end(sock)
    assert len(reply) == 8
    return reply[1]


async def http_answer(service: Service, target: Address) -> tuple[int, str, str]:
    """Return status, `Proxy-Status` field and body of an HTTP answer."""
    with await send_request(service, "http", http_request(target)) as sock:
        head, _, body = (await receive_to_end(sock)).decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert int(fields["content-length"]) == len(body.encode())
    assert body.endswith("\n")
    assert "\n" not in body[:-1]
    return int(lines[0].split()[1]), fields["proxy-status"], body


# --- unreachable targets ------------------------------------------------------------------


async def test_target_that_refuses_is_reported(service):
    target = closed_port()
    assert await socks5_code(service, target) == 5
    assert await socks4_code(service, target) == 91
    status, proxy_status, body = await http_answer(service, target)
    assert status == 502
    assert proxy_status.startswith("netjumper; error=connection_refused; details=")
    assert proxy_status.endswith(", netjumper-bridge")
    assert "connection refused" in body
    assert str(target) in body


async def test_name_that_does_not_exist_is_reported(service):
    target = Address("none.example", 443)
    assert await socks5_code(service, target) == 4
    assert await socks4_code(service, target) == 91
    status, proxy_status, body = await http_answer(service, target)
    assert status == 502
    assert "error=dns_error" in proxy_status
    assert "no such host" in body


async def test_target_that_times_out_is_reported():
    with unresponsive() as target:
        async with jump_server_running(dial_timeout=0.05) as (_, address):
            async with bridge_running(address) as service:
                assert await socks5_code(service, target) == 6
                status, proxy_status, _ = await http_answer(service, target)
                assert status == 504
                assert proxy_status.startswith("netjumper; error=connection_timeout")


async def test_target_that_the_jump_server_denies_is_reported():
    async with jump_server_running(guard=Guard()) as (_, address):
        async with bridge_running(address) as service:
            assert await socks5_code(service, Address("127.0.0.1", 80)) == 2
            status, proxy_status, _ = await http_answer(service, Address("127.0.0.1", 80))
            assert status == 403
            assert "error=destination_ip_prohibited" in proxy_status


async def test_target_too_long_for_the_protocol_is_reported(service):
    label = "x" * 63
    target = Address(f"{label}.{label}.{label}.{'x' * 61}", 65535)
    assert await socks5_code(service, target) == 1
    status, proxy_status, body = await http_answer(service, target)
    assert status == 400
    assert "netjumper-bridge; error=http_request_error" in proxy_status
    assert "255" in body


# --- failing jump hosts -------------------------------------------------------------------


async def replies(service: Service) -> tuple[int, int, str]:
    """Return the SOCKS5 code, the HTTP status and its error type."""
    code = await socks5_code(service, TARGET)
    assert await socks4_code(service, TARGET) == 91
    status, proxy_status, _ = await http_answer(service, TARGET)
    hop, _, error = proxy_status.split("; ")[0], None, proxy_status.split("; ")[1]
    assert hop == "netjumper-bridge"
    return code, status, error.removeprefix("error=")


async def test_wrong_secret_is_reported():
    async with jump_server_running() as (_, address):
        async with bridge_running(address, secret=b"wrong") as service:
            assert await replies(service) == (1, 503, "proxy_configuration_error")


async def test_jump_host_that_is_down_is_reported():
    async with bridge_running(closed_port()) as service:
        assert await replies(service) == (1, 503, "destination_unavailable")


@pytest.mark.parametrize(
    "script",
    [
        (),
        (CHALLENGE[:10],),
        (CHALLENGE[:10], Step.RESET),
        (Step.CHALLENGE, ANSWER + destination_size(TARGET)),
        (Step.CHALLENGE, ANSWER + destination_size(TARGET), b"\0"),
        (Step.CHALLENGE, ANSWER + destination_size(TARGET), b"\0", Step.RESET),
    ],
    ids=[
        "it closes at once",
        "half a challenge",
        "half a challenge and a reset",
        "no verdict",
        "no outcome",
        "a reset for an outcome",
    ],
)
async def test_jump_host_that_closes_within_the_handshake_is_reported(script: tuple[Script, ...]):
    async with serving(scripted(*script)) as jump, bridge_running(jump.address) as service:
        assert await replies(service) == (1, 502, "connection_terminated")


@pytest.mark.parametrize(
    "script",
    [
        (Step.SILENCE,),
        (CHALLENGE[:10], Step.SILENCE),
        (Step.CHALLENGE, Step.SILENCE),
        (Step.CHALLENGE, ANSWER, b"\0", Step.SILENCE),
        (Step.CHALLENGE, ANSWER, b"\0\1\x20half a text", Step.SILENCE),
    ],
    ids=["no challenge", "half a challenge", "no verdict", "no outcome", "half a text"],
)
async def test_jump_host_that_stops_answering_is_reported(script: tuple[Script, ...]):
    async with serving(scripted(*script)) as jump:
        async with bridge_running(jump.address, jump_timeout=0.05) as service:
            assert await replies(service) == (1, 504, "connection_timeout")
