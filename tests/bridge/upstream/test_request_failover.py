"""Tunnels through one of several jump hosts."""

import asyncio
import logging
import socket
import sys

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.bridge.upstream.balancing import WeightedRoundRobin
from netjumper.bridge.upstream.upstream import Upstream
from netjumper.errors import JumpHostUnreachable, TargetRefused, WrongSecret
from netjumper.net.endpoint import Endpoint
from tests.support.peers import closed_port, echo, eventually, receive_exactly, send, serving
from tests.support.scripted_jump_server import upstream_through
from tests.support.scripted_peer import ANSWER, Step, scripted
from tests.support.services import SECRET, jump_server_running

pytestmark = pytest.mark.usefixtures("nothing_is_left")


async def tunnel(upstream: Upstream, target: Address) -> socket.socket:
    established: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
    upstream.connect(target, established.set_result, established.set_exception)
    return (await established).detach()


async def test_request_fails_over_to_the_next_jump_host(caplog):
    closed = closed_port()
    async with serving(echo) as target, jump_server_running() as (_, jump):
        with upstream_through(closed, jump, parked=0) as (upstream, pools):
            (await tunnel(upstream, target.address)).close()
            assert [pool.is_down for pool in pools] == [True, False]
    assert caplog.messages == [f"jump host {closed}: connection refused; retrying"]


async def test_jump_host_that_rejects_the_secret_is_down():
    async with (
        serving(echo) as target,
        jump_server_running() as (_, strange),
        jump_server_running() as (_, jump),
    ):
        with upstream_through(strange, jump, secrets=[b"another", SECRET], parked=0) as (
            upstream,
            pools,
        ):
            (await tunnel(upstream, target.address)).close()
            assert [lot.is_down for lot in pools] == [True, False]


async def test_target_failure_does_not_mark_the_jump_host_down():
    async with jump_server_running() as (_, first), jump_server_running() as (service, second):
        with upstream_through(first, second, parked=0) as (upstream, pools):
            with pytest.raises(TargetRefused):
                await tunnel(upstream, closed_port())
            assert not any(pool.is_down for pool in pools)
            assert len(service.sessions) == 0


async def test_error_of_the_first_jump_host_is_reported_if_all_are_down():
    closed, also_nobody = closed_port(), closed_port()
    with upstream_through(closed, also_nobody, parked=0) as (upstream, _):
        with pytest.raises(JumpHostUnreachable) as caught:
            await tunnel(upstream, Address("target.example", 1))
        message = f"none of 2 jump hosts can be used; jump host {closed}: connection refused"
        assert str(caught.value) == message
    async with jump_server_running() as (_, jump):
        with upstream_through(jump, closed, secrets=[b"another", SECRET], parked=0) as (
            upstream,
            _,
        ):
            with pytest.raises(WrongSecret, match=str(jump)):
                await tunnel(upstream, Address("target.example", 1))


async def test_jump_host_dialled_twice_is_counted_once_in_the_error():
    closed = closed_port()
    with upstream_through(closed, parked=0) as (upstream, _):
        established: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
        target = Address("target.example", 1)
        upstream.connect(target, established.set_result, established.set_exception)._hedge()
        with pytest.raises(JumpHostUnreachable) as caught:
            await established
        assert str(caught.value) == f"jump host {closed}: connection refused"


async def test_first_jump_host_is_used_again_after_its_recovery(caplog, monkeypatch):
    caplog.set_level(logging.INFO, "netjumper")
    monkeypatch.setattr("netjumper.bridge.upstream.pool.FIRST_RETRY_S", 0.01)
    address = closed_port()
    async with serving(echo) as target, jump_server_running() as (_, other):
        with upstream_through(address, other) as (upstream, pools):
            await eventually(lambda: pools[0].is_down and len(pools[1]) == 1)
            (await tunnel(upstream, target.address)).close()
            there = ListenAddress(address.host, address.port)
            async with jump_server_running(listen=[there]) as (service, _):
                await eventually(lambda: len(pools[0]) == 1)
                assert f"jump host {address} is up again" in caplog.messages
                with await tunnel(upstream, target.address):
                    assert len([t for t in service.sessions._alive if t.requested]) == 1


async def test_silent_jump_host_is_down_once_another_has_answered(monkeypatch, caplog):
    monkeypatch.setattr("netjumper.bridge.upstream.upstream.UNANSWERED_S", 0.01)
    monkeypatch.setattr("netjumper.bridge.upstream.path_stats.INITIAL_REFILL_S", 0.001)
    async with (
        serving(echo) as target,
        serving(scripted(Step.SILENCE)) as silent,
        jump_server_running() as (_, jump),
    ):
        with upstream_through(silent.address, jump, parked=0) as (upstream, pools):
            with await tunnel(upstream, target.address) as sock:
                await send(sock, b"hello")
                assert await receive_exactly(sock, 5) == b"hello"
            assert [pool.is_down for pool in pools] == [True, False]
    assert caplog.messages == [f"jump host {silent}: it did not answer in time; retrying"]


async def test_hung_jump_host_with_a_live_kernel_is_not_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(
        "netjumper.bridge.upstream.upstream.UNANSWERED_S", 0.2
    )  # the kernel delays its acknowledgement
    monkeypatch.setattr("netjumper.bridge.upstream.pool.STALLED_AFTER_S", 0.02)
    let_in = scripted(Step.CHALLENGE, ANSWER, b"\0", Step.SILENCE)
    behaviours = [let_in, let_in]

    async def hang(sock: socket.socket) -> None:
        await (behaviours.pop() if behaviours else scripted(Step.SILENCE))(sock)

    async with (
        serving(echo) as target,
        serving(hang) as hanging,
        jump_server_running() as (_, jump),
    ):
        candidates = upstream_through(hanging.address, jump, parked=2, jump_timeout=60.0)
        with candidates as (upstream, (first, second)):
            await eventually(lambda: len(first) == 2 and len(second) == 2)
            first.path.refill_time = second.path.refill_time = 0.001
            (await tunnel(upstream, target.address)).close()
            assert (first.is_down, second.is_down) == (True, False)
            (message,) = caplog.messages
            assert message.startswith(f"jump host {hanging}: it did not answer in time; ")
            (await tunnel(upstream, target.address)).close()  # without a wait
            assert len(first) == 1


async def test_established_tunnels_are_not_moved(monkeypatch):
    monkeypatch.setattr("netjumper.bridge.upstream.pool.FIRST_RETRY_S", 60.0)
    async with serving(echo) as target, jump_server_running() as (_, other):
        async with jump_server_running() as (first, address):
            with upstream_through(address, other, parked=0) as (upstream, pools):
                with await tunnel(upstream, target.address) as sock:
                    first.stop_accepting()
                    (await tunnel(upstream, target.address)).close()
                    assert pools[0].is_down
                    await send(sock, b"still here")
                    assert await receive_exactly(sock, 10) == b"still here"


async def test_requests_are_spread_over_all_jump_hosts():
    async with (
        serving(echo) as target,
        jump_server_running() as (one, first),
        jump_server_running() as (other, second),
    ):
        balancing = WeightedRoundRobin([1, 1])
        with upstream_through(first, second, balancing=balancing, parked=0) as (upstream, _):
            socks = [await tunnel(upstream, target.address) for _ in range(4)]
            assert (len(one.sessions), len(other.sessions)) == (2, 2)
            for sock in socks:
                sock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux' TCP_INFO")
async def test_round_trip_is_known_once_a_connection_is_parked():
    async with jump_server_running() as (_, jump):
        with upstream_through(jump) as (_, (pool,)):
            assert pool.first_byte is None
            await eventually(lambda: len(pool) == 1)
            assert pool.first_byte is not None
            assert 0 < pool.first_byte < 1
