"""Dead parked connections: at hand-out, after a network change, after a black hole."""

import asyncio
import logging
import socket
from typing import Any

import pytest

from netjumper.bridge.upstream import pool as pool_module
from netjumper.bridge.upstream import route_monitor
from netjumper.client.jump_host import JumpConnection
from netjumper.errors import JumpHostUnreachable
from netjumper.net.tcp_info import TcpInfo
from tests.support.peers import eventually, serving
from tests.support.scripted_jump_server import jump_server, pool_at, serve_target
from tests.support.scripted_peer import ANSWER, Step, scripted

UNANSWERED = TcpInfo(probes=1, unacknowledged=0, rtt=0.2, retransmitted=0, sent=9)
LIVELY = UNANSWERED._replace(probes=0)


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def set_tcp_info(monkeypatch: pytest.MonkeyPatch, info: TcpInfo | None) -> None:
    monkeypatch.setattr(JumpConnection, "info", info)


def connections(pool: pool_module.ConnectionPool) -> set[Any]:
    return set(pool._parked)


# --- at hand-out --------------------------------------------------------------------------


@pytest.mark.parametrize("info", [LIVELY, None], ids=["answers", "no TCP_INFO"])
async def test_live_connection_is_handed_out_with_its_age(monkeypatch, info):
    set_tcp_info(monkeypatch, info)
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1) as pool:
            await eventually(lambda: len(pool) == 1)
            (expected,) = connections(pool)
            connection, age = pool.acquire()
            assert connection is expected
            assert 0 <= age < 5
            connection.cancel()
            await eventually(lambda: len(pool) == 1)


async def test_newest_connection_is_handed_out():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=3, max_size=3) as pool:
            await eventually(lambda: len(pool) == 3)
            *_, newest = pool._parked
            connection, _ = pool.acquire()
            assert connection is newest
            connection.cancel()
            await eventually(lambda: len(pool) == 3)


async def test_connections_without_keepalive_answers_are_closed_and_replaced_on_acquire(
    monkeypatch,
):
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=3, max_size=3) as pool:
            await eventually(lambda: len(pool) == 3)
            dead = connections(pool)
            set_tcp_info(monkeypatch, UNANSWERED)
            assert pool.acquire() is None
            assert len(pool) == 0
            assert all(connection.peer is None for connection in dead)
            await eventually(lambda: len(pool) == 3)
            assert not dead & connections(pool)


# --- after a network change ---------------------------------------------------------------


@pytest.fixture
def route(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The machine's route, as the pool sees it."""
    place = {"source": "192.0.2.1", "asleep": 0.0}
    monkeypatch.setattr(route_monitor, "CHECK_INTERVAL_S", 0.0)
    monkeypatch.setattr(route_monitor, "source_address", lambda _: place["source"])
    monkeypatch.setattr(route_monitor, "_suspend_time", lambda: place["asleep"])
    return place


@pytest.mark.parametrize("change", [{"source": "192.0.2.99"}, {"asleep": 60.0}], ids=str)
async def test_network_change_renews_all_connections_and_is_logged(route, change, caplog):
    caplog.set_level(logging.INFO)
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=3, max_size=3) as pool:
            await eventually(lambda: len(pool) == 3)
            before = connections(pool)
            probe = pool._probe.connection = JumpConnection(pool.host)
            route.update(change)
            assert pool.acquire() is None
            assert pool._probe.connection is None
            assert all(connection.peer is None for connection in (*before, probe))
            await eventually(lambda: len(pool) == 3)
            assert not before & connections(pool)
            pool.acquire()[0].cancel()
            await eventually(lambda: len(pool) == 3)
    assert [record.getMessage() for record in caplog.records] == [
        "network changed: renewing parked connections"
    ]


async def test_network_change_also_cancels_dials(route):
    answering = asyncio.Event()
    first, others = (
        scripted(Step.CHALLENGE, ANSWER, b"\0", Step.SILENCE),
        scripted(answering, Step.CHALLENGE),
    )
    behaviours = [first]

    async def behave(sock: socket.socket) -> None:
        await (behaviours.pop() if behaviours else others)(sock)

    async with serving(behave) as jump:
        with pool_at(jump.address, min_size=1, max_size=2) as pool:
            await eventually(lambda: len(pool) == 1)
            pool._check_route(next(iter(pool._parked)), 0.0)
            pool.record_request()
            await eventually(lambda: len(pool._dialling) == 1)
            before = set(pool._dialling)
            route["source"] = "192.0.2.99"
            assert pool.acquire() is None
            assert not before & set(pool._dialling)
            await eventually(lambda: bool(pool._dialling))


async def test_network_change_is_detected_when_a_connection_is_parked(route):
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=2, max_size=2, idle_limit_s=60.0) as pool:
            await eventually(lambda: len(pool) == 2)
            before = connections(pool)
            route["source"] = "192.0.2.99"
            pool._expire(next(iter(before)))
            await eventually(lambda: not before & connections(pool) and len(pool) == 2)


# --- after a black hole -------------------------------------------------------------------


async def test_blackhole_discards_connections_of_its_age(monkeypatch):
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=3, max_size=3, idle_limit_s=8.0) as pool:
            await eventually(lambda: len(pool) == 3)
            old, young, youngest = pool._parked
            pool._idle_limit.record_survival(100.0)
            now = pool._loop.time()
            for connection, age in ((old, 20.0), (young, 9.0), (youngest, 1.0)):
                place = pool._parked[connection]
                pool._parked[connection] = place._replace(since=now - age)
            pool.discard_older_than(10.0)
            assert connections(pool) == {young, youngest}
            assert old.peer is None
            assert pool._idle_limit.seconds == 8.0
            assert not pool._idle_limit.may_probe(now)
            await eventually(lambda: len(pool) == 3)


async def test_blackhole_at_a_safe_age_discards_nothing():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=8.0) as pool:
            await eventually(lambda: len(pool) == 1)
            pool._idle_limit.record_survival(100.0)
            pool.discard_older_than(8.0)
            assert pool._idle_limit.seconds == 100.0
            assert len(pool) == 1


async def test_failure_during_a_retry_pause_does_not_extend_it():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=0, max_size=0) as pool:
            for _ in range(3):
                pool.record_failure(JumpHostUnreachable("connection refused"))
            assert pool._retry_pause == pool_module.FIRST_RETRY_S
            pool.mark_up()
            assert not pool.is_down
            pool.mark_up()


async def test_jump_host_that_is_down_gets_one_dial_at_a_time(monkeypatch):
    monkeypatch.setattr(pool_module, "FIRST_RETRY_S", 0.001)
    async with serving(scripted(Step.SILENCE)) as jump:
        with pool_at(jump.address, min_size=5, max_size=5) as pool:
            pool.record_failure(JumpHostUnreachable("connection refused"))
            await eventually(lambda: pool._retry is None and jump.accepted == 1)
            assert len(pool._dialling) == 1


async def test_jump_host_that_closes_parked_connections_is_retried_with_doubling_pauses(
    monkeypatch, caplog
):
    monkeypatch.setattr(pool_module, "FIRST_RETRY_S", 0.01)
    async with serving(scripted(Step.CHALLENGE, ANSWER, b"\0")) as jump:
        with pool_at(jump.address, min_size=4, max_size=4) as pool:
            await eventually(lambda: pool._retry_pause >= 0.08)
            first_dials, retries, dials_per_retry = 4, 4, 2
            assert jump.accepted <= first_dials + retries * dials_per_retry
    (message,) = caplog.messages
    assert message.endswith("it closed a parked connection; retrying")


async def test_jump_host_that_keeps_parked_connections_again_is_up(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(pool_module, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(pool_module, "MIN_IDLE_S", 0.05)
    keeps: list[bool] = []

    async def close_at_first(sock: socket.socket) -> None:
        if keeps:
            await serve_target(sock)

    async with jump_server(close_at_first) as jump:
        with pool_at(jump.address, min_size=4, max_size=4) as pool:
            await eventually(lambda: pool._retry_pause >= 0.02)
            keeps.append(True)
            await eventually(lambda: len(pool) == 4)
            assert not pool.is_down
    assert caplog.messages[-1] == f"jump host {jump.address} is up again"


async def test_wrong_secret_is_retried_on_request_but_rarely_otherwise(caplog):
    async with serving(scripted(Step.CHALLENGE, ANSWER, b"\1\4nope")) as jump:
        with pool_at(jump.address, min_size=1, max_size=9) as pool:
            await eventually(lambda: pool.is_down)
            assert jump.accepted == 1
            assert caplog.messages == [f"jump host {jump.address}: nope; retrying"]
            loop = asyncio.get_running_loop()
            assert pool._retry is not None
            assert 590 < pool._retry.when() - loop.time() <= 1200
            pool.mark_up()  # as after a connection for a request
            await eventually(lambda: jump.accepted == 2)


async def test_failure_after_the_end_is_not_logged(caplog):
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=0, max_size=0) as pool:
            pass
        pool.record_failure(JumpHostUnreachable("connection refused"))
        assert not pool.is_down
    assert caplog.records == []


async def test_recovery_is_detected_with_a_pool_of_size_zero(monkeypatch):
    monkeypatch.setattr(pool_module, "FIRST_RETRY_S", 0.01)
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=0, max_size=0) as pool:
            pool.record_failure(JumpHostUnreachable("connection refused"))
            assert pool.is_down
            await eventually(lambda: not pool.is_down)
            assert pool.target_size == 0
