"""The longevity probe: one parked connection that stays open longer than the others."""

import asyncio
import socket
from collections.abc import Callable
from typing import NamedTuple

import pytest

from netjumper.bridge.upstream import idle_limit as idle_limit_module
from netjumper.bridge.upstream import pool as pool_module
from netjumper.bridge.upstream.longevity_probe import LongevityProbe
from netjumper.client.jump_host import JumpConnection
from netjumper.net.tcp_info import TcpInfo
from tests.support.peers import eventually
from tests.support.scripted_jump_server import jump_server, pool_at, serve_target, silent

INITIAL_LIMIT_S = 0.2
"""The idle limit at the start."""


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def tcp_info(probes: int) -> TcpInfo:
    return TcpInfo(probes, 0, 0.2, 0, 9)


class ExpiredConnection(NamedTuple):
    """A parked connection that reached the idle limit."""

    connection: JumpConnection
    is_probe: bool
    limit_s: float
    """The idle limit at that time."""


class Expiries:
    """The connections that reached the idle limit, and those of them that became a probe.

    A probe lasts as long as the idle limit, so on a busy machine a test that polls the pool can
    miss its beginning.
    """

    def __init__(self) -> None:
        self.all: list[ExpiredConnection] = []
        self.on_probe: Callable[[], object] = lambda: None
        """Called when a probe starts."""

    def record(self, expired: ExpiredConnection) -> None:
        self.all.append(expired)
        if expired.is_probe:
            self.on_probe()

    @property
    def probes(self) -> list[ExpiredConnection]:
        return [expired for expired in self.all if expired.is_probe]

    async def first_probe(self) -> JumpConnection:
        await eventually(lambda: bool(self.probes))
        return self.probes[0].connection


@pytest.fixture
def expiries(monkeypatch) -> Expiries:
    found = Expiries()
    start = LongevityProbe.start

    def recorded(self: LongevityProbe, connection: JumpConnection, since: float) -> bool:
        limit_s = self._idle_limit.seconds
        is_probe = start(self, connection, since)
        found.record(ExpiredConnection(connection, is_probe, limit_s))
        return is_probe

    monkeypatch.setattr(LongevityProbe, "start", recorded)
    return found


async def test_surviving_probe_raises_the_limit_and_continues(monkeypatch, expiries):
    monkeypatch.setattr(JumpConnection, "info", tcp_info(probes=0))
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            probe = await expiries.first_probe()
            assert probe not in pool._parked
            assert expiries.probes[0].limit_s == INITIAL_LIMIT_S
            await eventually(lambda: pool._idle_limit.seconds >= 2 * INITIAL_LIMIT_S)
            await eventually(lambda: pool._idle_limit.seconds >= 4 * INITIAL_LIMIT_S)
            assert pool._probe.connection is probe
            await eventually(lambda: len(pool) == 1)  # its successor may expire just now


async def test_probe_ends_at_the_maximum_limit(monkeypatch, expiries):
    monkeypatch.setattr(JumpConnection, "info", tcp_info(probes=0))
    monkeypatch.setattr(idle_limit_module, "MAX_IDLE_S", 2 * INITIAL_LIMIT_S)
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            probe = await expiries.first_probe()
            await eventually(lambda: pool._probe.connection is None)
            assert pool._idle_limit.seconds == 2 * INITIAL_LIMIT_S
            assert probe.peer is None
            before = set(pool._parked)
            await eventually(lambda: not before & set(pool._parked))
            assert pool._probe.connection is None, "the limit cannot be raised any more"


@pytest.mark.parametrize("info", [tcp_info(probes=1), None], ids=["no answer", "no TCP_INFO"])
async def test_probe_not_proven_alive_changes_nothing(monkeypatch, expiries, info):
    monkeypatch.setattr(JumpConnection, "info", info)
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            probe = await expiries.first_probe()
            await eventually(lambda: pool._probe.connection is None)
            assert probe.peer is None
            assert pool._idle_limit.seconds == INITIAL_LIMIT_S
            assert not pool._idle_limit.may_probe(pool._loop.time())


async def test_probe_closed_by_the_jump_server_is_not_a_failure(caplog, expiries):
    oldest_ends = asyncio.Event()
    accepted: list[socket.socket] = []

    async def parked(sock: socket.socket) -> None:
        accepted.append(sock)
        if sock is accepted[0]:
            await oldest_ends.wait()
        else:
            await silent(sock)

    def end_oldest() -> None:
        accepted[0].shutdown(socket.SHUT_WR)  # at once, before the probe can survive
        oldest_ends.set()

    expiries.on_probe = end_oldest
    async with jump_server(parked) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            await expiries.first_probe()
            await eventually(lambda: pool._probe.connection is None)
            assert pool._idle_limit.seconds == INITIAL_LIMIT_S
            assert not pool._idle_limit.may_probe(pool._loop.time())
            assert not pool.is_down
            await eventually(lambda: len(pool) == 1)
    assert caplog.records == []


async def test_only_one_probe_runs_and_other_expired_connections_are_closed(monkeypatch, expiries):
    monkeypatch.setattr(JumpConnection, "info", tcp_info(probes=0))
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=3, max_size=3, idle_limit_s=INITIAL_LIMIT_S) as pool:
            await eventually(lambda: len(expiries.all) >= 3)
            assert [expired.is_probe for expired in expiries.all].count(True) == 1
            assert pool._probe.connection is expiries.all[0].connection
            for expired in expiries.all:
                assert (expired.connection.peer is not None) == expired.is_probe
            await eventually(lambda: len(pool) == 3)


async def test_probe_ended_by_a_network_change_is_not_checked(expiries):
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=INITIAL_LIMIT_S) as pool:
            await expiries.first_probe()
            check, limit_s = pool._probe._timer, pool._idle_limit.seconds
            pool._clear()
            assert pool._probe.connection is None
            assert check.cancelled()
            assert pool._idle_limit.seconds == limit_s
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
