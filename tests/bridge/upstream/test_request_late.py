"""Requests whose answer is late, or never comes: another connection is asked the same."""

import asyncio
import socket

import pytest

from netjumper.bridge.upstream import upstream as upstream_module
from netjumper.bridge.upstream.path_stats import PathStats
from netjumper.bridge.upstream.request import Request
from netjumper.errors import TargetRefused
from tests.support.peers import eventually
from tests.support.scripted_jump_server import (
    GET,
    SSH,
    Asked,
    Steered,
    die,
    hurried,
    in_turn,
    jump_server,
    lead,
    pool_of,
    refuse,
    silent,
    stand,
    upstream_at,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left")


async def timer_over(request: Request) -> None:
    """Wait until it was decided whether to ask twice."""
    await eventually(lambda: request._timer is None)


async def test_the_second_ones_answer_wins_where_it_is_first_and_the_first_one_is_closed():
    peers = Steered()
    async with jump_server(in_turn(peers.never, stand)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            await Asked(hurried(upstream)).close()
            await peers.closed.wait()


async def test_the_first_ones_answer_wins_where_it_comes_after_all():
    first, second = Steered(), Steered()
    async with jump_server(in_turn(first.when_told, second.never)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            asked = Asked(hurried(upstream))
            await second.asked.wait()
            first.answer.set()
            await asked.close()
            await second.closed.wait()


async def test_both_are_sent_the_first_bytes_and_nothing_more_until_one_of_them_answers():
    first, second = Steered(), Steered()
    second_asked = asyncio.Event()

    async def second_one(sock: socket.socket) -> None:
        second_asked.set()
        await second.with_early(sock)

    async with jump_server(in_turn(first.never, second_one)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            asked = Asked(hurried(upstream))
            asked.request.send_early(GET[:10])
            assert asked.request.early_data_budget > 0
            await second_asked.wait()
            assert asked.request.early_data_budget == 0
            asked.request.send_early(GET[10:])  # for the peer to go on
            await asked.close()
    assert second.early == GET


async def test_who_sent_what_may_not_be_repeated_waits_for_the_first():
    peers = Steered()
    async with jump_server(in_turn(peers.when_told, die)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            asked = Asked(hurried(upstream))
            asked.request.send_early(SSH)
            await timer_over(asked.request)
            assert len(asked.request._attempts) == 1
            peers.answer.set()
            await asked.close()
            assert upstream._hedge_tokens == upstream_module.HEDGE_BURST


async def test_only_a_share_of_the_requests_is_asked_twice(monkeypatch):
    monkeypatch.setattr(upstream_module, "HEDGE_RATIO", 0.5)
    first, second = Steered(), Steered()
    behaviours = in_turn(first.when_told, second.when_told, silent)
    async with jump_server(behaviours) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            upstream._hedge_tokens = 0.0
            asked = Asked(hurried(upstream))
            await timer_over(asked.request)
            assert len(asked.request._attempts) == 1
            assert upstream._hedge_tokens == 0.5
            again = Asked(upstream)
            await timer_over(again.request)
            assert len(again.request._attempts) == 2
            assert upstream._hedge_tokens == 0.0
            first.answer.set()
            second.answer.set()
            await asked.close()
            await again.close()


async def test_a_target_that_refuses_one_of_two_has_refused():
    peers = Steered()
    async with jump_server(in_turn(peers.never, refuse)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            async with asyncio.timeout(3):  # the other's time for an answer is longer
                assert type(await Asked(hurried(upstream)).error()) is TargetRefused
            await peers.closed.wait()


@pytest.mark.parametrize("fate", [die, stand])
async def test_one_of_two_that_is_lost_leaves_it_to_the_other(fate):
    first = Steered()
    lost = asyncio.Event()

    async def second_one(sock: socket.socket) -> None:
        lost.set()

    async def first_one(sock: socket.socket) -> None:
        await first.answer.wait()
        await fate(sock)

    async with jump_server(in_turn(first_one, second_one, stand)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            asked = Asked(hurried(upstream))
            await lost.wait()
            await eventually(lambda: len(asked.request._attempts) == 1)
            assert not asked.stands.done()
            first.answer.set()
            await asked.close()


async def test_a_request_that_is_given_up_while_two_are_asked_closes_both():
    first, second = Steered(), Steered()
    async with jump_server(in_turn(first.never, second.never)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            asked = Asked(hurried(upstream))
            await second.asked.wait()
            asked.request.cancel()
            await first.closed.wait()
            await second.closed.wait()
            assert not asked.stands.done()


async def test_nobody_is_asked_twice_where_answers_come_at_once():
    async with jump_server(lead) as jump:
        async with upstream_at(jump.address) as upstream:
            pool_of(upstream).path.refill_time = 0.001
            asked = Asked(upstream)
            assert asked.request._timer is None
            await asked.close()


async def test_one_that_is_dialled_for_the_request_is_late_later():
    async with jump_server(lead) as jump:
        async with upstream_at(jump.address, parked=0) as upstream:
            pool_of(upstream).path.refill_time = 20.0
            asked = Asked(hurried(upstream))
            timer = asked.request._timer
            assert timer is not None
            assert timer.when() - upstream.loop.time() > 20.0
            await asked.close()


async def test_answers_of_parked_connections_say_how_long_they_usually_take(monkeypatch):
    noted: list[float] = []
    monkeypatch.setattr(PathStats, "record_answer", lambda _, seconds: noted.append(seconds))
    async with jump_server(lead) as jump:
        async with upstream_at(jump.address, parked=1) as upstream:
            await Asked(upstream).close()
            assert len(noted) == 1
        async with upstream_at(jump.address, parked=0) as upstream:
            await Asked(upstream).close()
            assert len(noted) == 1
