"""Requests that get no answer at all, and what is learned from them."""

import sys

import pytest

from netjumper.bridge.upstream import upstream as upstream_module
from netjumper.bridge.upstream.request import Request
from netjumper.client.jump_host import JumpConnection
from netjumper.net.tcp_info import TcpInfo
from tests.support.peers import closed_port, eventually
from tests.support.scripted_jump_server import (
    SSH,
    ControlledPeer,
    RequestedTunnel,
    end_without_outcome,
    in_turn,
    jump_server,
    pool_of,
    silent,
    succeed,
    upstream_at,
    with_known_latency,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def info(unacknowledged: int) -> TcpInfo:
    return TcpInfo(0, unacknowledged, 0.2, 0, 9)


# --- no answer at all ---------------------------------------------------------------------


@pytest.fixture
def soon_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "UNANSWERED_S", 0.02)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were asked, after each look at a request that has no answer."""
    counts: list[int] = []
    is_lost = Request.check_unanswered

    def noted(request: Request) -> None:
        is_lost(request)
        counts.append(len(request._attempts))

    monkeypatch.setattr(Request, "check_unanswered", noted)
    return counts


@pytest.fixture
def unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent is not acknowledged, as far as the kernel tells."""
    monkeypatch.setattr(JumpConnection, "info", info(unacknowledged=2))


@pytest.mark.usefixtures("soon_lost", "unheard")
async def test_black_hole_of_a_parked_connection_causes_a_dial():
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.never_answer, succeed)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            upstream.context.hedge_budget.tokens = -10.0
            asked = RequestedTunnel(upstream)
            await eventually(lambda: len(asked.request._attempts) == 2)
            assert [it.parked is None for it in asked.request._attempts.values()] == [False, True]
            await asked.close()
            await peers.closed.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_acknowledged_request_is_waited_for(monkeypatch, looks):
    monkeypatch.setattr(
        upstream_module, "UNANSWERED_S", 0.2
    )  # a kernel takes its time to acknowledge
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.answer_on_cue)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            upstream.context.hedge_budget.tokens = -10.0
            asked = RequestedTunnel(upstream)
            await eventually(lambda: len(looks) == 2)
            assert looks == [1, 1]
            peers.answer.set()
            await asked.close()


@pytest.mark.usefixtures("soon_lost")
@pytest.mark.parametrize(("early", "parked"), [(SSH, 1), (b"", 0)], ids=["not repeatable", "new"])
async def test_dialled_or_unsafe_request_is_waited_for(looks, early, parked):
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.answer_on_cue, silent)) as jump:
        async with upstream_at(jump.address, parked=parked) as upstream:
            pool_of(upstream).path.refill_time = 0.01
            asked = RequestedTunnel(upstream)
            asked.request.send_early(early)
            await eventually(lambda: bool(looks))
            assert looks[0] == 1
            peers.answer.set()
            await asked.close()


@pytest.mark.usefixtures("soon_lost", "unheard")
async def test_longer_path_gets_more_time(looks):
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.never_answer, succeed)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            upstream.context.hedge_budget.tokens = -10.0
            path = pool_of(upstream).path
            path._latency.p95 = 10.0
            asked = RequestedTunnel(upstream)
            await eventually(lambda: len(looks) == 2)
            assert looks == [1, 1]
            path._latency.p95 = 0.001
            await asked.close()


# --- what is learned from it --------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "mistrusted"),
    [
        pytest.param(info(unacknowledged=2), True, id="not acknowledged"),
        pytest.param(info(unacknowledged=0), False, id="acknowledged"),
        pytest.param(None, False, id="nothing is told"),
    ],
)
async def test_unacknowledged_connection_discards_those_of_its_age(monkeypatch, told, mistrusted):
    ages: list[float] = []
    monkeypatch.setattr(
        upstream_module.ConnectionPool, "discard_older_than", lambda _, age: ages.append(age)
    )
    second = ControlledPeer()
    async with jump_server(in_turn(silent, second.answer_on_cue)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            asked = RequestedTunnel(with_known_latency(upstream))
            await eventually(lambda: len(asked.request._attempts) == 2)
            monkeypatch.setattr(JumpConnection, "info", told)
            second.answer.set()
            await asked.close()
    assert len(ages) == mistrusted


async def test_later_attempt_is_not_a_sign_of_a_black_hole(monkeypatch):
    ages: list[float] = []
    first = ControlledPeer()
    monkeypatch.setattr(
        upstream_module.ConnectionPool, "discard_older_than", lambda _, age: ages.append(age)
    )
    async with jump_server(in_turn(first.answer_on_cue, silent)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            asked = RequestedTunnel(with_known_latency(upstream))
            await eventually(lambda: len(asked.request._attempts) == 2)
            monkeypatch.setattr(JumpConnection, "info", info(unacknowledged=2))
            first.answer.set()
            await asked.close()
    assert ages == []


async def test_error_of_the_dialled_connection_is_reported():
    async with jump_server(in_turn(end_without_outcome)) as jump:
        async with upstream_at(jump.address, parked=1) as upstream:
            nobody = pool_of(upstream).host.address = closed_port()
            error = await RequestedTunnel(upstream).error()
            assert str(error) == f"jump host {nobody}: connection refused"
