"""Requests that were not sent yet when their jump host failed, and stalled jump hosts."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData
from netjumper.bridge.upstream import pool, upstream
from netjumper.bridge.upstream.pool import ConnectionPool
from netjumper.bridge.upstream.upstream import Upstream
from netjumper.client import jump_host
from netjumper.errors import JumpHostProtocolError, JumpHostTimeout
from tests.support.peers import (
    closed_port,
    echo,
    eventually,
    receive,
    receive_exactly,
    send,
    serving,
)
from tests.support.scripted_jump_server import GET, SSH, RequestedTunnel, upstream_through
from tests.support.scripted_peer import ANSWER, Step, scripted
from tests.support.services import jump_server_running

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def through(
    *hosts: Address, parked: int = 0, jump_timeout: float = 60.0
) -> AbstractContextManager[tuple[Upstream, list[ConnectionPool]]]:
    return upstream_through(
        *hosts, parked=parked, jump_timeout=jump_timeout, early=EarlyData.ALWAYS
    )


@asynccontextmanager
async def two_hosts(first: Any) -> AsyncIterator[tuple[Upstream, Any, Any]]:
    """An upstream over `first` and a real jump server, the listener of `first`, and a target."""
    async with serving(echo) as target, serving(first) as rogue, jump_server_running() as (_, jump):
        with through(rogue.address, jump) as (it, _):
            yield it, rogue, target


@pytest.fixture
def _short_timeouts(monkeypatch):
    monkeypatch.setattr(upstream, "UNANSWERED_S", 0.05)
    monkeypatch.setattr("netjumper.bridge.upstream.path_stats.INITIAL_REFILL_S", 0.001)


async def test_unsafe_request_fails_over_from_a_close_before_the_challenge(monkeypatch):
    # On a busy machine the pool would dial the failed jump host again during the test.
    monkeypatch.setattr("netjumper.bridge.upstream.pool.FIRST_RETRY_S", 60.0)
    monkeypatch.setattr("netjumper.bridge.upstream.pool.MAX_RETRY_S", 60.0)
    async with two_hosts(scripted()) as (it, rogue, target):
        requested = RequestedTunnel(it, target.address)
        requested.request.send_early(SSH)
        with await requested.socket() as sock:
            assert await receive_exactly(sock, len(SSH)) == SSH
        assert await rogue.connection_count() == 1


@pytest.mark.usefixtures("_short_timeouts")
async def test_unsafe_request_fails_over_from_a_silent_jump_host(caplog):
    heard = b""

    async def silent(sock: socket.socket) -> None:
        nonlocal heard
        heard += await receive(sock)

    async with two_hosts(silent) as (it, rogue, target):
        requested = RequestedTunnel(it, target.address)
        requested.request.send_early(SSH)
        with await requested.socket() as sock:
            assert await receive_exactly(sock, len(SSH)) == SSH
        assert heard == b""
        message = f"jump host {rogue.address}: it did not answer in time; retrying"
        assert sum(message in line for line in caplog.messages) == 1
        with await RequestedTunnel(it, target.address).socket():
            assert await rogue.connection_count() <= 2  # the request's, and the retry's


@pytest.mark.usefixtures("_short_timeouts")
async def test_error_says_that_no_jump_host_can_be_used():
    async with serving(receive) as rogue:
        with through(rogue.address, closed_port()) as (it, _):
            requested = RequestedTunnel(it, closed_port())
            requested.request.send_early(SSH)
            message = str(await requested.error())
    silent = f"jump host {rogue.address}: it did not answer in time"
    assert message == f"none of 2 jump hosts can be used; {silent}"


@pytest.mark.usefixtures("_short_timeouts")
async def test_late_challenge_is_not_answered():
    go_on, over = asyncio.Event(), asyncio.Event()
    heard = b""

    async def hedge_delay(sock: socket.socket) -> None:
        nonlocal heard
        await go_on.wait()
        with contextlib.suppress(OSError):
            await send(sock, b"\x20" + b"c" * 32)
            heard += await receive(sock)
        over.set()

    async with two_hosts(hedge_delay) as (it, _, target):
        requested = RequestedTunnel(it, target.address)
        requested.request.send_early(SSH)
        with await requested.socket() as sock:
            go_on.set()
            assert await receive_exactly(sock, len(SSH)) == SSH
            await over.wait()
        assert heard == b""


@pytest.mark.usefixtures("_short_timeouts")
async def test_unsafe_request_sent_to_a_closing_jump_host_is_not_repeated():
    async with two_hosts(scripted(Step.CHALLENGE, ANSWER)) as (it, _, target):
        requested = RequestedTunnel(it, target.address)
        requested.request.send_early(SSH)
        assert isinstance(await requested.error(), JumpHostProtocolError)
        assert await target.connection_count() == 0


@pytest.mark.usefixtures("_short_timeouts")
async def test_unsafe_request_sent_to_a_silent_jump_host_is_not_repeated():
    async with serving(echo) as target, jump_server_running() as (_, jump):
        async with serving(scripted(Step.CHALLENGE, ANSWER, Step.SILENCE)) as rogue:
            with through(rogue.address, jump, jump_timeout=0.3) as (it, _):
                requested = RequestedTunnel(it, target.address)
                requested.request.send_early(SSH)
                assert isinstance(await requested.error(), JumpHostTimeout)
                assert await target.connection_count() == 0


async def test_second_connection_does_not_restart_the_jump_timeout(monkeypatch):
    expired = 0
    expire = jump_host.JumpConnection.expire

    def counting(connection: jump_host.JumpConnection) -> None:
        nonlocal expired
        expired += 1
        expire(connection)

    monkeypatch.setattr(jump_host.JumpConnection, "expire", counting)
    async with serving(scripted(Step.SILENCE)) as rogue:
        with through(rogue.address, jump_timeout=0.3) as (it, pools):
            pools[0].path.refill_time = 0.02
            requested = RequestedTunnel(it)
            requested.request.send_early(GET)
            await eventually(lambda: len(requested.request._attempts) == 2)
            assert isinstance(await requested.error(), JumpHostTimeout)
            assert expired == 1


# --- stalled jump hosts -------------------------------------------------------------------


@pytest.fixture
def _short_stall_time(monkeypatch):
    monkeypatch.setattr(pool, "UNRESPONSIVE_AFTER_S", 0.1)
    monkeypatch.setattr(pool, "STALLED_AFTER_S", 0.1)


def in_order(*behaviours: Any) -> Any:
    """Use one behaviour per connection in order; the last one also for all others."""
    left = list(behaviours)

    async def behave(sock: socket.socket) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(sock)

    return behave


let_in = scripted(Step.CHALLENGE, ANSWER, b"\0", Step.SILENCE)


@pytest.mark.usefixtures("_short_stall_time")
async def test_stalled_jump_host_is_down_before_a_request(caplog):
    async with serving(in_order(let_in, scripted(Step.SILENCE))) as rogue:
        with through(rogue.address, parked=2) as (_, (hung,)):
            await eventually(lambda: len(hung) == 1)

            def is_found() -> bool:
                hung.check_stalled()
                return hung.is_down

            await eventually(is_found)
            hung.check_stalled()
    message = f"jump host {rogue.address}: it did not answer in time; retrying"
    assert [line.startswith(message) for line in caplog.messages] == [True]


@pytest.mark.usefixtures("_short_stall_time")
async def test_jump_host_with_one_stalled_connection_is_not_down(caplog):
    async with serving(in_order(scripted(Step.SILENCE), let_in)) as rogue:
        with through(rogue.address, parked=2) as (_, (well,)):
            await eventually(lambda: len(well) == 1 and well.is_stalled)
            well._last_authenticated = well._loop.time()
            well.check_stalled()
            assert not well.is_down
    assert not [line for line in caplog.messages if "did not answer" in line]


@pytest.mark.usefixtures("_short_stall_time")
async def test_request_avoids_a_stalled_jump_host():
    async with serving(echo) as target, jump_server_running() as (_, jump):
        async with serving(in_order(let_in, scripted(Step.SILENCE))) as rogue:
            with through(rogue.address, jump, parked=2) as (it, (hung, _)):
                loop = asyncio.get_running_loop()
                over = loop.time() + 2 * pool.UNRESPONSIVE_AFTER_S
                await eventually(lambda: len(hung) == 1 and loop.time() > over)
                requested = RequestedTunnel(it, target.address)
                requested.request.send_early(SSH)
                with await requested.socket() as sock:
                    assert await receive_exactly(sock, len(SSH)) == SSH
