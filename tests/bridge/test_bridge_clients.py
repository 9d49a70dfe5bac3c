"""Clients of the bridge that leave early, fail to authenticate, or are logged; shutdown."""

import asyncio
import logging
import socket
from collections.abc import Callable

import pytest

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.sessions.manager import TunnelLimits
from tests.support.peers import (
    closed_port,
    connected,
    echo,
    eventually,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    send,
    serving,
    unresponsive,
)
from tests.support.proxy_requests import (
    ESTABLISHED,
    GRANTED5,
    TARGET,
    http_request,
    send_request,
    socks5_request,
)
from tests.support.scripted_peer import ANSWER, Step, destination_size, scripted
from tests.support.services import SECRET, bridge_running, jump_server_running


async def test_idle_tunnel_is_ended():
    async with (
        serving(echo) as target,
        jump_server_running() as (_, address),
        bridge_running(address, limits=TunnelLimits(idle=0.1)) as service,
    ):
        with await send_request(service, "http", http_request(target.address)) as sock:
            assert await receive_to_reset(sock) == ESTABLISHED
        assert len(service.sessions) == 0


# --- clients that leave -------------------------------------------------------------------


@pytest.mark.parametrize("vanish", [socket.socket.close, reset], ids=["close", "reset"])
@pytest.mark.parametrize("sent", [b"\5", b"\5\1\0", b"CONNECT x", b"\4\1\0\x50\0\0\0\1me\0ta"])
async def test_client_that_vanishes_during_its_request_leaves_nothing(service, sent, vanish):
    sock = await send_request(service, "mixed", sent)
    await eventually(
        lambda: [t._phase._handshake is None for t in service.sessions._alive] == [False]
    )
    vanish(sock)
    await eventually(lambda: len(service.sessions) == 0)


async def test_client_reset_before_the_outcome_closes_the_connection():
    named, gone = asyncio.Event(), asyncio.Event()

    async def withhold(sock: socket.socket) -> None:
        await scripted(Step.CHALLENGE, ANSWER, b"\0", destination_size(TARGET))(sock)
        named.set()
        assert await receive_to_end(sock) == b""
        gone.set()

    async with serving(withhold) as jump, bridge_running(jump.address) as service:
        sock = await send_request(service, "http", http_request(TARGET))
        await named.wait()
        reset(sock)
        await gone.wait()
        await eventually(lambda: len(service.sessions) == 0)


async def test_client_reset_during_the_dial_cancels_it():
    with unresponsive() as jump_host:
        async with bridge_running(jump_host) as service:
            sock = await send_request(service, "http", http_request(TARGET))
            await eventually(lambda: service.sessions.waiting == 1)
            reset(sock)
            await eventually(lambda: len(service.sessions) == 0)


async def test_client_without_a_request_is_not_logged(service, caplog):
    with caplog.at_level(logging.INFO, "netjumper.access"):
        for listener in ("socks", "http", "mixed"):
            (await connected(service.address_of(listener))).close()
        await eventually(lambda: len(service.sessions) == 0)
    assert caplog.records == []


async def test_unfinished_request_is_closed_by_the_timeout():
    limits = TunnelLimits(handshake=0.1)
    async with bridge_running(closed_port(), limits=limits) as service:
        for listener in ("socks", "http", "mixed"):
            with await connected(service.address_of(listener)) as sock:
                assert await receive(sock) == b""
        with await send_request(service, "socks", b"\5\1\0\5\1") as sock:
            assert await receive_to_end(sock) == b"\5\0"


# --- credentials --------------------------------------------------------------------------


async def test_client_can_retry_after_407_on_the_same_connection():
    async with (
        serving(echo) as target,
        jump_server_running() as (_, address),
        bridge_running(address, credentials=Credentials({"ann": "pw"})) as service,
    ):
        with await send_request(service, "http", http_request(target.address)) as sock:
            refusal = await receive(sock)
            assert refusal.startswith(b"HTTP/1.1 407 ")
            with_user = http_request(target.address)[:-2] + b"Proxy-Authorization: Basic "
            await send(sock, with_user + b"YW5uOnB3\r\n\r\n" + b"hello")
            data = await receive_exactly(sock, len(ESTABLISHED) + 5)
            assert data == ESTABLISHED + b"hello"


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
async def test_wrong_proxy_password_is_logged_however_the_client_leaves(leave, caplog):
    async with (
        jump_server_running() as (_, address),
        bridge_running(address, credentials=Credentials({"ann": "pw"})) as service,
    ):
        with caplog.at_level(logging.INFO, "netjumper.access"):
            guess = http_request(Address("target.example", 1))[:-2]
            guess += b"Proxy-Authorization: Basic YW5uOng=\r\n\r\n"
            sock = await send_request(service, "http", guess)
            assert (await receive(sock)).startswith(b"HTTP/1.1 407 ")
            leave(sock)
            await eventually(lambda: bool(caplog.records))
    (record,) = caplog.records
    assert record.msg.ending.startswith("AuthenticationError: wrong proxy credentials")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[int], list]:
    """The access log of the bridge."""
    caplog.set_level(logging.INFO, "netjumper.access")

    def bridge_lines(port: int) -> list:
        """Return the records of the tunnels that a client opened from this port."""
        return [r.msg for r in caplog.records if r.msg.peer == f"127.0.0.1:{port}"]

    return bridge_lines


async def test_tunnel_is_one_line_in_the_log(service, lines):
    async with serving(echo) as target:
        with await send_request(service, "socks", socks5_request(target.address)) as sock:
            port = sock.getsockname()[1]
            assert await receive_exactly(sock, 12) == b"\5\0" + GRANTED5
            await send(sock, b"hello")
            assert await receive_exactly(sock, 5) == b"hello"
            sock.shutdown(socket.SHUT_WR)
            assert await receive(sock) == b""
        await eventually(lambda: bool(lines(port)))
        (end,) = lines(port)
        assert (end.target, end.bytes_up, end.bytes_down) == (str(target), 5, 5)
        assert (end.ending, end.failed) == ("closed", False)


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        ((), "JumpHostProtocolError: jump host {}: it closed the connection without a challenge"),
        (
            (Step.CHALLENGE, ANSWER + destination_size(TARGET), b"\1\4nope"),
            "WrongSecret: jump host {}: nope",
        ),
        (
            (Step.CHALLENGE, ANSWER + destination_size(TARGET), b"\0\7\x0bi/o timeout"),
            "TargetTimeout: i/o timeout",
        ),
    ],
)
async def test_failed_tunnel_is_one_line_in_the_log(lines, script, ending):
    async with serving(scripted(*script)) as jump, bridge_running(jump.address) as service:
        with await send_request(service, "http", http_request(TARGET)) as sock:
            port = sock.getsockname()[1]
            await receive_to_end(sock)
        (end,) = lines(port)
        assert (end.target, end.failed) == (str(TARGET), True)
        assert end.ending == ending.format(jump)
        assert SECRET.decode() not in str(end)


# --- shutdown -----------------------------------------------------------------------------


async def test_shutdown_waits_for_tunnels_then_aborts_them_and_accepts_no_more(service):
    async with serving(echo) as target:
        address = service.address_of("http")
        request = http_request(target.address)
        with (
            await send_request(service, "http", request) as one,
            await send_request(service, "http", request) as other,
        ):
            for sock in (one, other):
                assert await receive_exactly(sock, len(ESTABLISHED)) == ESTABLISHED
            closing = asyncio.create_task(service.close(grace=0.5))
            await eventually(lambda: service.listening == [])
            with pytest.raises(ConnectionRefusedError):
                await connected(address)
            one.shutdown(socket.SHUT_WR)
            assert await receive(one) == b""
            assert not closing.done()
            assert await closing == 1
            assert await receive_to_reset(other) == b""
