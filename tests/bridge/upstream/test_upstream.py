"""Requests over an upstream: lost connections, early data, the state of jump hosts."""

import asyncio
import logging
import math
import socket

import pytest

from netjumper.addressing.choices import EarlyData
from netjumper.bridge.upstream import path_stats as path_module
from netjumper.bridge.upstream import upstream as upstream_module
from netjumper.bridge.upstream.upstream import Upstream
from netjumper.client.jump_host import MAX_EARLY_DATA_BYTES
from netjumper.errors import (
    JumpHostProtocolError,
    JumpHostUnreachable,
    TargetRefused,
    WrongSecret,
)
from tests.support.peers import closed_port, eventually, receive, receive_exactly, serving
from tests.support.scripted_jump_server import (
    GET,
    SSH,
    TARGET,
    RequestedTunnel,
    end_without_outcome,
    in_turn,
    jump_server,
    pool_at,
    pool_of,
    refuse,
    serve_target,
    silent,
    succeed,
    upstream_at,
)
from tests.support.scripted_peer import ANSWER, Step, scripted
from tests.support.services import destination

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.fixture
def acquired(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each `acquire` found a parked connection; hedging is off."""
    monkeypatch.setattr(path_module, "MIN_HEDGED_LATENCY_S", math.inf)
    looks: list[bool] = []
    take = upstream_module.ConnectionPool.acquire

    def recording(pool):
        found = take(pool)
        looks.append(found is not None)
        return found

    monkeypatch.setattr(upstream_module.ConnectionPool, "acquire", recording)
    return looks


# --- lost connections ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [end_without_outcome, scripted(Step.RESET)], ids=["ended", "reset"]
)
async def test_lost_connection_is_replaced_by_a_parked_then_a_dialled_one(acquired, loss):
    async with jump_server(in_turn(loss, loss, succeed)) as jump:
        async with upstream_at(jump.address, parked=3) as upstream:
            await RequestedTunnel(upstream).close()
            assert acquired == [True, True]
            assert upstream.context.known.expects(TARGET, upstream.context.loop.time())


async def test_dialled_connection_is_not_replaced(acquired):
    async with jump_server(
        in_turn(end_without_outcome, end_without_outcome, end_without_outcome, succeed)
    ) as jump:
        async with upstream_at(jump.address, parked=3) as upstream:
            error = await RequestedTunnel(upstream).error()
            assert type(error) is JumpHostProtocolError
            assert acquired == [True, True]


@pytest.mark.parametrize("early", [GET, b"\x16\3\1\0\5\1"], ids=["request", "ClientHello"])
async def test_replay_safe_early_data_is_sent_on_the_replacement(early):
    seen: list[bytes] = []

    async def note(sock: socket.socket) -> None:
        seen.append(await receive_exactly(sock, len(early)))
        await (succeed if len(seen) == 2 else end_without_outcome)(sock)

    async with jump_server(in_turn(note)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(upstream)
            requested.request.send_early(early)
            await requested.close()
    assert seen == [early, early]


async def test_unsafe_early_data_ends_the_request_with_its_connection(acquired):
    async with jump_server(in_turn(end_without_outcome, succeed)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(upstream)
            requested.request.send_early(SSH)
            assert type(await requested.error()) is JumpHostProtocolError
            assert acquired == [True]


async def test_unsent_early_data_does_not_end_the_request_with_its_jump_host():
    async with (
        serving(scripted(Step.CHALLENGE, ANSWER, b"\1\4nope")) as strange,
        jump_server(in_turn(succeed)) as jump,
    ):
        with (
            pool_at(closed_port(), min_size=0, max_size=0) as first,
            pool_at(strange.address, min_size=0, max_size=0) as second,
            pool_at(jump.address, min_size=0, max_size=0) as third,
        ):
            requested = RequestedTunnel(Upstream([first, second, third]))
            requested.request.send_early(SSH)
            with await requested.socket() as sock:
                assert await receive_exactly(sock, len(SSH)) == SSH


async def test_early_data_budget_exists_while_there_is_one_connection():
    async with jump_server(in_turn(silent)) as jump:
        async with upstream_at(jump.address) as upstream:
            requested = RequestedTunnel(upstream)
            room = requested.request.early_data_budget
            assert room == MAX_EARLY_DATA_BYTES
            requested.request.send_early(GET)
            assert requested.request.early_data_budget == room - len(GET)
            requested.request.cancel()
            assert requested.request.early_data_budget == 0


async def test_target_failure_is_final_and_the_target_is_forgotten(acquired):
    async with jump_server(in_turn(succeed, refuse)) as jump:
        async with upstream_at(jump.address) as upstream:
            first = RequestedTunnel(upstream)
            assert not first.request.optimistic
            await first.close()
            await eventually(lambda: len(pool_of(upstream)) == 1)
            requested = RequestedTunnel(upstream)
            assert requested.request.optimistic
            assert type(await requested.error()) is TargetRefused
            assert acquired == [True, True]
            assert not upstream.context.known.expects(TARGET, upstream.context.loop.time())
            assert not pool_of(upstream).is_down


@pytest.mark.parametrize(("early", "expected"), [("always", True), ("never", False)])
async def test_early_data_setting_decides_which_targets_are_expected(early, expected):
    async with jump_server(serve_target) as jump:
        async with upstream_at(jump.address, EarlyData(early)) as upstream:
            for _ in range(2):
                requested = RequestedTunnel(upstream)
                assert requested.request.optimistic is expected
                await requested.close()


@pytest.mark.parametrize(
    ("known", "parking_takes", "together"),
    [
        pytest.param(True, 1.0, True, id="known target on a long path"),
        pytest.param(False, 1.0, False, id="unknown target"),
        pytest.param(True, 0.001, False, id="short path"),
    ],
)
async def test_destination_waits_for_early_data_on_a_long_path(
    monkeypatch, known, parking_takes, together
):
    segments: list[bytes] = []

    async def note(sock: socket.socket) -> None:
        segments.append(await receive(sock))
        await succeed(sock)

    monkeypatch.setattr("netjumper.client.jump_host.CORK_TIME_S", 30.0)
    async with jump_server(note) as jump:
        async with upstream_at(jump.address) as upstream:
            pool_of(upstream).path.refill_time = parking_takes
            if known:
                upstream.context.known.record_success(TARGET, upstream.context.loop.time())
            requested = RequestedTunnel(upstream)
            if not together:
                await eventually(lambda: bool(segments))
            for _ in range(3):
                await asyncio.sleep(0)  # the client gets its reply and sends early data
            requested.request.send_early(GET)
            await requested.close()
    assert segments[0] == destination(TARGET) + GET * together


# --- the jump host's state ----------------------------------------------------------------


async def test_jump_host_that_cannot_be_dialled_is_down():
    with pool_at(closed_port(), min_size=0, max_size=0) as pool:
        assert not pool.is_down
        assert type(await RequestedTunnel(Upstream([pool])).error()) is JumpHostUnreachable
        assert pool.is_down


async def test_jump_host_that_rejects_the_secret_is_down():
    async with serving(scripted(Step.CHALLENGE, ANSWER, b"\1\4nope")) as jump:
        with pool_at(jump.address, min_size=0, max_size=0) as pool:
            assert type(await RequestedTunnel(Upstream([pool])).error()) is WrongSecret
            assert pool.is_down


async def test_failure_after_authentication_does_not_mark_the_jump_host_down(caplog):
    async with jump_server(in_turn(end_without_outcome)) as jump:
        with pool_at(jump.address, min_size=0, max_size=0) as pool:
            assert type(await RequestedTunnel(Upstream([pool])).error()) is JumpHostProtocolError
            assert not pool.is_down
    assert caplog.records == []


async def test_authenticated_request_marks_the_jump_host_up(caplog):
    caplog.set_level(logging.INFO)
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=0, max_size=0) as pool:
            pool.record_failure(JumpHostUnreachable("connection refused"))
            await RequestedTunnel(Upstream([pool])).close()
            assert not pool.is_down
    assert caplog.records[-1].getMessage() == f"jump host {jump} is up again"


@pytest.mark.parametrize("early", [EarlyData.KNOWN, EarlyData.ALWAYS])
async def test_no_target_is_expected_if_the_only_jump_host_is_down(early):
    with pool_at(closed_port(), min_size=0, max_size=0) as pool:
        upstream = Upstream([pool], early=early)
        upstream.context.known.record_success(TARGET, upstream.context.loop.time())
        first = RequestedTunnel(upstream)
        assert first.request.optimistic
        await first.error()
        upstream.context.known.record_success(TARGET, upstream.context.loop.time())
        second = RequestedTunnel(upstream)
        assert not second.request.optimistic
        await second.error()


async def test_earlier_parked_connection_does_not_mark_the_jump_host_up(caplog):
    caplog.set_level(logging.INFO)
    async with jump_server(serve_target) as jump:
        async with upstream_at(jump.address) as upstream:
            pool_of(upstream).record_failure(JumpHostUnreachable("connection refused"))
            await RequestedTunnel(upstream).close()
            assert pool_of(upstream).is_down
    assert len(caplog.records) == 1
