"""Requests that are sent on a second connection because the answer is late."""

import asyncio
import socket

import pytest

from netjumper.bridge.upstream import hedge_budget
from netjumper.bridge.upstream.attempt import is_lost
from netjumper.bridge.upstream.path_stats import PathStats
from netjumper.bridge.upstream.request import Request
from netjumper.client.jump_host import JumpConnection
from netjumper.errors import TargetRefused
from tests.support.peers import eventually
from tests.support.scripted_jump_server import (
    GET,
    SSH,
    ControlledPeer,
    RequestedTunnel,
    end_without_outcome,
    in_turn,
    jump_server,
    pool_of,
    refuse,
    serve_target,
    silent,
    succeed,
    upstream_at,
    with_known_latency,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left")


GRACEFUL_LATENCY_S = 0.4
"""So long that a held connection is held for 0.125 s."""


async def hedge_decided(request: Request) -> None:
    """Wait until the request was hedged or not."""
    await eventually(lambda: request._timer is None)


async def test_first_answer_wins_from_the_second_connection():
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.never_answer, succeed)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            await RequestedTunnel(with_known_latency(upstream)).close()
            await peers.closed.wait()


async def test_late_answer_wins_from_the_first_connection():
    first, second = ControlledPeer(), ControlledPeer()
    async with jump_server(in_turn(first.answer_on_cue, second.never_answer)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(with_known_latency(upstream))
            await second.requested.wait()
            first.answer.set()
            await requested.close()
            await second.closed.wait()


async def test_both_connections_get_lost_early_data_and_no_more(monkeypatch):
    monkeypatch.setattr("netjumper.bridge.upstream.request.is_lost", lambda _: True)
    first, second = ControlledPeer(), ControlledPeer()
    second_asked = asyncio.Event()

    async def second_one(sock: socket.socket) -> None:
        second_asked.set()
        await second.receive_early_data(sock)

    async with jump_server(in_turn(first.never_answer, second_one)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(with_known_latency(upstream))
            requested.request.send_early(GET[:10])
            assert requested.request.early_data_budget > 0
            await second_asked.wait()
            assert requested.request.early_data_budget == 0
            requested.request.send_early(GET[10:])  # lets the peer continue
            await requested.close()
    assert second.early == GET


@pytest.fixture
def nothing_is_lost(monkeypatch):
    """The kernel shows an acknowledgement, whenever it really comes."""
    monkeypatch.setattr("netjumper.bridge.upstream.request.is_lost", lambda _: False)


@pytest.mark.usefixtures("nothing_is_lost")
async def test_slow_target_gets_early_data_once():
    first, second = ControlledPeer(), ControlledPeer()
    async with jump_server(
        in_turn(first.receive_early_data_on_cue, second.receive_all_after_the_answer)
    ) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            pool_of(upstream).path._latency.p95 = GRACEFUL_LATENCY_S
            requested = RequestedTunnel(upstream)
            requested.request.send_early(GET)
            await second.requested.wait()
            second.answer.set()
            await eventually(lambda: requested.request._held is not None)
            first.answer.set()
            await requested.close()
            await second.closed.wait()
    assert first.early == GET
    assert second.early == b""


@pytest.mark.usefixtures("nothing_is_lost")
async def test_lost_answer_is_replaced_and_early_data_follows_the_second_answer():
    first, second = ControlledPeer(), ControlledPeer()
    behaviours = in_turn(first.never_answer, second.receive_early_data_after_the_answer)
    async with jump_server(behaviours) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(with_known_latency(upstream))
            requested.request.send_early(GET)
            sock = await requested.socket()
            await first.closed.wait()
            await second.closed.wait()
            sock.close()
    assert second.early == GET


@pytest.mark.usefixtures("nothing_is_lost")
async def test_second_answer_is_used_at_once_if_the_first_connection_fails():
    first, second = ControlledPeer(), ControlledPeer()

    async def refuse_on_cue(sock: socket.socket) -> None:
        await first.answer.wait()
        await refuse(sock)

    behaviours = in_turn(refuse_on_cue, second.receive_early_data_after_the_answer)
    async with jump_server(behaviours) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            pool_of(upstream).path._latency.p95 = GRACEFUL_LATENCY_S
            requested = RequestedTunnel(upstream)
            requested.request.send_early(GET)
            await eventually(lambda: requested.request._held is not None)
            first.answer.set()
            (await requested.socket()).close()
            await second.closed.wait()
    assert second.early == GET


@pytest.mark.usefixtures("nothing_is_lost")
async def test_cancelled_request_closes_a_held_connection():
    first, second = ControlledPeer(), ControlledPeer()
    async with jump_server(
        in_turn(first.never_answer, second.receive_all_after_the_answer)
    ) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            pool_of(upstream).path._latency.p95 = GRACEFUL_LATENCY_S
            requested = RequestedTunnel(upstream)
            requested.request.send_early(GET)
            await second.requested.wait()
            second.answer.set()
            await eventually(lambda: requested.request._held is not None)
            requested.request.cancel()
            await first.closed.wait()
            await second.closed.wait()
            assert not requested.established.done()


async def test_request_without_an_acknowledgement_is_lost():
    async with jump_server(serve_target) as jump:
        async with upstream_at(jump.address) as upstream:
            pool = pool_of(upstream)
            assert is_lost(JumpConnection(pool.host))
            (parked,) = pool._parked
            await eventually(lambda: not is_lost(parked))


async def test_request_with_unsafe_early_data_is_not_hedged():
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.answer_on_cue, end_without_outcome)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(with_known_latency(upstream))
            requested.request.send_early(SSH)
            await hedge_decided(requested.request)
            assert len(requested.request._attempts) == 1
            peers.answer.set()
            await requested.close()
            assert upstream.context.hedge_budget.tokens == hedge_budget.HEDGE_BURST


async def test_hedged_requests_are_limited_to_a_share(monkeypatch):
    monkeypatch.setattr(hedge_budget, "HEDGE_RATIO", 0.5)
    first, second = ControlledPeer(), ControlledPeer()
    behaviours = in_turn(first.answer_on_cue, second.answer_on_cue, silent)
    async with jump_server(behaviours) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            upstream.context.hedge_budget.tokens = 0.0
            requested = RequestedTunnel(with_known_latency(upstream))
            await hedge_decided(requested.request)
            assert len(requested.request._attempts) == 1
            assert upstream.context.hedge_budget.tokens == 0.5
            again = RequestedTunnel(upstream)
            await hedge_decided(again.request)
            assert len(again.request._attempts) == 2
            assert upstream.context.hedge_budget.tokens == 0.0
            first.answer.set()
            second.answer.set()
            await requested.close()
            await again.close()


async def test_refusal_on_either_connection_is_final():
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.never_answer, refuse)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            async with asyncio.timeout(3):  # shorter than the other's deadline
                assert (
                    type(await RequestedTunnel(with_known_latency(upstream)).error())
                    is TargetRefused
                )
            await peers.closed.wait()


@pytest.mark.parametrize("behaviour", [end_without_outcome, succeed])
async def test_lost_connection_of_two_leaves_the_other(behaviour):
    first = ControlledPeer()
    lost = asyncio.Event()

    async def second_one(sock: socket.socket) -> None:
        lost.set()

    async def first_one(sock: socket.socket) -> None:
        await first.answer.wait()
        await behaviour(sock)

    async with jump_server(in_turn(first_one, second_one, succeed)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(with_known_latency(upstream))
            await lost.wait()
            await eventually(lambda: len(requested.request._attempts) == 1)
            assert not requested.established.done()
            first.answer.set()
            await requested.close()


async def test_cancelled_hedged_request_closes_both_connections():
    first, second = ControlledPeer(), ControlledPeer()
    async with jump_server(in_turn(first.never_answer, second.never_answer)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(with_known_latency(upstream))
            await second.requested.wait()
            requested.request.cancel()
            await first.closed.wait()
            await second.closed.wait()
            assert not requested.established.done()


async def test_request_on_a_short_path_is_not_hedged():
    async with jump_server(serve_target) as jump:
        async with upstream_at(jump.address) as upstream:
            pool_of(upstream).path.refill_time = 0.001
            requested = RequestedTunnel(upstream)
            assert requested.request._timer is None
            await requested.close()


async def test_dialled_connection_has_a_longer_hedge_delay():
    async with jump_server(serve_target) as jump:
        async with upstream_at(jump.address, parked=0) as upstream:
            pool_of(upstream).path.refill_time = 20.0
            requested = RequestedTunnel(with_known_latency(upstream))
            timer = requested.request._timer
            assert timer is not None
            assert timer.when() - upstream.context.loop.time() > 20.0
            await requested.close()


async def test_latency_is_measured_on_parked_connections(monkeypatch):
    recording: list[float] = []
    monkeypatch.setattr(PathStats, "record_answer", lambda _, seconds: recording.append(seconds))
    async with jump_server(serve_target) as jump:
        async with upstream_at(jump.address, parked=1) as upstream:
            await RequestedTunnel(upstream).close()
            assert len(recording) == 1
        async with upstream_at(jump.address, parked=0) as upstream:
            await RequestedTunnel(upstream).close()
            assert len(recording) == 1
