"""Requests without any answer, and what they show about connections."""

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


# --- no answer ----------------------------------------------------------------------------


@pytest.fixture
def short_unanswered_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "UNANSWERED_S", 0.02)


@pytest.fixture
def attempts_at_checks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of attempts after each check of an unanswered request."""
    counts: list[int] = []
    is_lost = Request.check_unanswered

    def recording(request: Request) -> None:
        is_lost(request)
        counts.append(len(request._attempts))

    monkeypatch.setattr(Request, "check_unanswered", recording)
    return counts


@pytest.fixture
def unacknowledged_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """TCP_INFO shows unacknowledged data."""
    monkeypatch.setattr(JumpConnection, "info", info(unacknowledged=2))


@pytest.mark.usefixtures("short_unanswered_time", "unacknowledged_data")
async def test_black_hole_of_a_parked_connection_causes_a_dial():
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.never_answer, succeed)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            upstream.context.hedge_budget.tokens = -10.0
            requested = RequestedTunnel(upstream)
            await eventually(lambda: len(requested.request._attempts) == 2)
            assert [it.parked is None for it in requested.request._attempts.values()] == [
                False,
                True,
            ]
            await requested.close()
            await peers.closed.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux' TCP_INFO")
async def test_acknowledged_request_is_waited_for(monkeypatch, attempts_at_checks):
    monkeypatch.setattr(
        upstream_module, "UNANSWERED_S", 0.2
    )  # the kernel delays its acknowledgement
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.answer_on_cue)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            upstream.context.hedge_budget.tokens = -10.0
            requested = RequestedTunnel(upstream)
            await eventually(lambda: len(attempts_at_checks) == 2)
            assert attempts_at_checks == [1, 1]
            peers.answer.set()
            await requested.close()


@pytest.mark.usefixtures("short_unanswered_time")
@pytest.mark.parametrize(("early", "parked"), [(SSH, 1), (b"", 0)], ids=["not repeatable", "new"])
async def test_dialled_or_unsafe_request_is_waited_for(attempts_at_checks, early, parked):
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.answer_on_cue, silent)) as jump:
        async with upstream_at(jump.address, parked=parked) as upstream:
            pool_of(upstream).path.refill_time = 0.01
            requested = RequestedTunnel(upstream)
            requested.request.send_early(early)
            await eventually(lambda: bool(attempts_at_checks))
            assert attempts_at_checks[0] == 1
            peers.answer.set()
            await requested.close()


@pytest.mark.usefixtures("short_unanswered_time", "unacknowledged_data")
async def test_longer_path_gets_more_time(attempts_at_checks):
    peers = ControlledPeer()
    async with jump_server(in_turn(peers.never_answer, succeed)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            upstream.context.hedge_budget.tokens = -10.0
            path = pool_of(upstream).path
            path._latency.p95 = 10.0
            requested = RequestedTunnel(upstream)
            await eventually(lambda: len(attempts_at_checks) == 2)
            assert attempts_at_checks == [1, 1]
            path._latency.p95 = 0.001
            await requested.close()


# --- black holes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "discarded"),
    [
        pytest.param(info(unacknowledged=2), True, id="not acknowledged"),
        pytest.param(info(unacknowledged=0), False, id="acknowledged"),
        pytest.param(None, False, id="no TCP_INFO"),
    ],
)
async def test_unacknowledged_connection_discards_those_of_its_age(monkeypatch, info, discarded):
    ages: list[float] = []
    monkeypatch.setattr(
        upstream_module.ConnectionPool, "discard_older_than", lambda _, age: ages.append(age)
    )
    second = ControlledPeer()
    async with jump_server(in_turn(silent, second.answer_on_cue)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(with_known_latency(upstream))
            await eventually(lambda: len(requested.request._attempts) == 2)
            monkeypatch.setattr(JumpConnection, "info", info)
            second.answer.set()
            await requested.close()
    assert len(ages) == discarded


async def test_later_attempt_is_not_a_sign_of_a_black_hole(monkeypatch):
    ages: list[float] = []
    first = ControlledPeer()
    monkeypatch.setattr(
        upstream_module.ConnectionPool, "discard_older_than", lambda _, age: ages.append(age)
    )
    async with jump_server(in_turn(first.answer_on_cue, silent)) as jump:
        async with upstream_at(jump.address, parked=2) as upstream:
            requested = RequestedTunnel(with_known_latency(upstream))
            await eventually(lambda: len(requested.request._attempts) == 2)
            monkeypatch.setattr(JumpConnection, "info", info(unacknowledged=2))
            first.answer.set()
            await requested.close()
    assert ages == []


async def test_error_of_the_dialled_connection_is_reported():
    async with jump_server(in_turn(end_without_outcome)) as jump:
        async with upstream_at(jump.address, parked=1) as upstream:
            closed = pool_of(upstream).host.address = closed_port()
            error = await RequestedTunnel(upstream).error()
            assert str(error) == f"jump host {closed}: connection refused"
