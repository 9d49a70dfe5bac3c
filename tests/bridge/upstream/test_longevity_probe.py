"""The longevity probe: one parked connection that stays open longer than the others."""

import asyncio
import socket

import pytest

from netjumper.bridge.upstream import idle_limit as idle_limit_module
from netjumper.bridge.upstream import pool as pool_module
from netjumper.client.jump_host import JumpConnection
from netjumper.net.tcp_info import TcpInfo
from tests.support.peers import eventually
from tests.support.scripted_jump_server import jump_server, pool_at, serve_target, silent

INITIAL_LIMIT_S = 0.2
"""The idle limit at the start."""


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def tcp_info(probes: int) -> TcpInfo:
    return TcpInfo(probes, 0, 0.2, 0, 9)


async def test_surviving_probe_raises_the_limit_and_continues(monkeypatch):
    monkeypatch.setattr(JumpConnection, "info", tcp_info(probes=0))
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            await eventually(lambda: pool._probe.connection is not None)
            probe = pool._probe.connection
            assert probe not in pool._parked
            assert pool._idle_limit.seconds == INITIAL_LIMIT_S
            await eventually(lambda: pool._idle_limit.seconds >= 2 * INITIAL_LIMIT_S)
            await eventually(lambda: pool._idle_limit.seconds >= 4 * INITIAL_LIMIT_S)
            assert pool._probe.connection is probe
            assert len(pool) == 1


async def test_probe_ends_at_the_maximum_limit(monkeypatch):
    monkeypatch.setattr(JumpConnection, "info", tcp_info(probes=0))
    monkeypatch.setattr(idle_limit_module, "MAX_IDLE_S", 2 * INITIAL_LIMIT_S)
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            await eventually(lambda: pool._probe.connection is not None)
            probe = pool._probe.connection
            await eventually(lambda: pool._probe.connection is None)
            assert pool._idle_limit.seconds == 2 * INITIAL_LIMIT_S
            assert probe.peer is None
            before = set(pool._parked)
            await eventually(lambda: not before & set(pool._parked))
            assert pool._probe.connection is None, "the limit cannot be raised any more"


@pytest.mark.parametrize("info", [tcp_info(probes=1), None], ids=["no answer", "no TCP_INFO"])
async def test_probe_not_proven_alive_changes_nothing(monkeypatch, info):
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            await eventually(lambda: pool._probe.connection is not None)
            probe = pool._probe.connection
            monkeypatch.setattr(JumpConnection, "info", info)
            await eventually(lambda: pool._probe.connection is None)
            assert probe.peer is None
            assert pool._idle_limit.seconds == INITIAL_LIMIT_S
            assert not pool._idle_limit.may_probe(pool._loop.time())


async def test_probe_closed_by_the_jump_server_is_not_a_failure(caplog):
    oldest_ends = asyncio.Event()
    accepted: list[socket.socket] = []

    async def parked(sock: socket.socket) -> None:
        accepted.append(sock)
        if sock is accepted[0]:
            await oldest_ends.wait()
        else:
            await silent(sock)

    async with jump_server(parked) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            await eventually(lambda: pool._probe.connection is not None)
            oldest_ends.set()
            await eventually(lambda: pool._probe.connection is None)
            assert pool._idle_limit.seconds == INITIAL_LIMIT_S
            assert not pool._idle_limit.may_probe(pool._loop.time())
            assert not pool.is_down
            await eventually(lambda: len(pool) == 1)
    assert caplog.records == []


async def test_only_one_probe_runs_and_other_expired_connections_are_closed(monkeypatch):
    monkeypatch.setattr(JumpConnection, "info", tcp_info(probes=0))
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=3, max_size=3, idle_limit_s=INITIAL_LIMIT_S) as pool:
            await eventually(lambda: len(pool) == 3)
            first = set(pool._parked)
            await eventually(lambda: not first & set(pool._parked))
            assert sum(connection.peer is not None for connection in first) == 1
            assert pool._probe.connection in first
            await eventually(lambda: len(pool) == 3)


async def test_probe_ended_by_a_network_change_is_not_checked():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            await eventually(lambda: pool._probe.connection is not None)
            check = pool._probe._timer
            pool._clear()
            assert pool._probe.connection is None
            assert check.cancelled()
            assert pool._idle_limit.seconds == INITIAL_LIMIT_S
            assert pool._idle_limit.may_probe(pool._loop.time())
            pool._refill_soon()
            await eventually(lambda: len(pool) == 1)


async def test_losses_of_similar_age_lower_the_limit(monkeypatch):
    monkeypatch.setattr(pool_module, "MIN_IDLE_S", 0.01)
    monkeypatch.setattr(idle_limit_module, "MIN_IDLE_S", 0.01)
    monkeypatch.setattr(idle_limit_module, "MIN_LOSS_SPACING_S", 0.0)
    monkeypatch.setattr(idle_limit_module, "SAME_AGE_TOLERANCE", 1.0)
    ending = asyncio.Semaphore(0)

    async def impatient(sock: socket.socket) -> None:
        await ending.acquire()

    async with jump_server(impatient) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=8.0) as pool:
            for _ in range(4):
                await eventually(lambda: len(pool) == 1)
                ((connection, (since, _)),) = pool._parked.items()
                await eventually(lambda since=since: pool._loop.time() - since >= 0.03)
                ending.release()
                await eventually(lambda ended=connection: ended not in pool._parked)
            assert pool._idle_limit.seconds < 1.0
            assert not pool.is_down
            await eventually(lambda: len(pool) == 1)
