"""Parked connections at real and scripted jump servers."""

import asyncio
import errno
import logging
import socket

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.bridge.upstream import pool as pool_module
from netjumper.bridge.upstream.pool import ConnectionPool
from netjumper.bridge.upstream.upstream import Upstream
from netjumper.errors import AddressError, JumpHostUnreachable, NetjumperError, TargetRefused
from netjumper.net.endpoint import Endpoint
from netjumper.net.socket_options import SocketOptions
from tests.support.peers import (
    closed_port,
    echo,
    eventually,
    receive,
    receive_exactly,
    reset,
    serving,
)
from tests.support.scripted_jump_server import TARGET, jump_server, pool_at, serve_target
from tests.support.scripted_peer import Step, scripted
from tests.support.services import jump_server_running

pytestmark = pytest.mark.usefixtures("nothing_is_left")


async def tunnel(pool: ConnectionPool, target: Address = TARGET) -> socket.socket:
    established: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
    Upstream([pool]).connect(target, established.set_result, established.set_exception)
    assert not established.done(), "called before connect() returned"
    return (await established).detach()


async def test_pool_parks_its_target_size():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=3, max_size=9) as pool:
            await eventually(lambda: len(pool) == 3)
            assert jump.accepted == 3


async def test_used_parked_connection_is_replaced():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1) as pool:
            await eventually(lambda: len(pool) == 1)
            with await tunnel(pool) as sock:
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(sock, b"hello")
                assert await receive_exactly(sock, 5) == b"hello"
                await eventually(lambda: len(pool) == 1)
                assert jump.accepted == 2


async def test_tunnel_works_through_a_real_jump_server():
    async with serving(echo) as target, jump_server_running() as (_, address):
        with pool_at(address, min_size=1, max_size=1) as pool:
            await eventually(lambda: len(pool) == 1)
            (await tunnel(pool, target.address)).close()
            with pytest.raises(TargetRefused):
                await tunnel(pool, closed_port())


async def test_pool_pauses_without_free_descriptors(monkeypatch, caplog):
    def no_descriptor(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(pool_module, "MAX_RETRY_S", 0.1)
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=3, max_size=3) as pool:
            await eventually(lambda: len(pool) == 3)
            with monkeypatch.context() as short:
                short.setattr(SocketOptions, "dial", no_descriptor)
                (await tunnel(pool)).close()
                await eventually(lambda: len(pool) == 0)
                assert not pool.is_down
            (record,) = caplog.records
            assert record.getMessage() == (
                f"jump host {jump}: too many open files on this machine; "
                "not parking connections for 0.1 s"
            )
            await eventually(lambda: len(pool) == 3)


async def test_request_dials_if_nothing_is_parked():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=0, max_size=0) as pool:
            (await tunnel(pool)).close()
            assert len(pool) == 0
            assert jump.accepted == 1


async def test_pool_grows_with_the_demand_up_to_its_limit():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=5) as pool:
            tunnels = await asyncio.gather(*(tunnel(pool) for _ in range(4)))
            assert pool.target_size == 5
            await eventually(lambda: len(pool) == 5)
            tunnels += await asyncio.gather(*(tunnel(pool) for _ in range(9)))
            await eventually(lambda: len(pool) == 5)
            assert pool.target_size == 5
            for sock in tunnels:
                sock.close()


async def test_closed_parked_connection_is_not_handed_out():
    first: list[socket.socket] = []
    seen_off = asyncio.Event()

    async def end_the_first(sock: socket.socket) -> None:
        if first:
            await serve_target(sock)
            return
        first.append(sock)
        await seen_off.wait()
        assert await receive(sock) == b"", "a destination came"

    async with jump_server(end_the_first) as jump:
        with pool_at(jump.address, min_size=1, max_size=1) as pool:
            await eventually(lambda: len(pool) == 1 and bool(first))
            # In the same turn of the loop, only a check of the connection shows its end.
            first[0].shutdown(socket.SHUT_WR)
            (await tunnel(pool)).close()
            seen_off.set()


async def test_parked_connection_has_no_handshake_deadline():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1) as pool:
            await eventually(lambda: len(pool) == 1)
            assert len(pool.host.deadlines) == 0
            (place,) = pool._parked.values()
        assert place.timer.cancelled()


async def test_parked_connection_lost_during_a_request_is_replaced():
    served = 0

    async def first_one_dies(sock: socket.socket) -> None:
        nonlocal served
        served += 1
        if served == 1:
            await receive(sock)
            reset(sock)
        else:
            await serve_target(sock)

    async with jump_server(first_one_dies) as jump:
        with pool_at(jump.address, min_size=1, max_size=1) as pool:
            await eventually(lambda: len(pool) == 1)
            (await tunnel(pool)).close()
            assert jump.accepted >= 2


async def test_parked_connection_is_closed_after_its_idle_limit():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1, idle_limit_s=0.05):
            await eventually(lambda: jump.accepted >= 3)


async def test_parked_connection_closed_by_the_server_is_replaced(monkeypatch, caplog):
    monkeypatch.setattr(pool_module, "MIN_IDLE_S", 0.01)
    ended = asyncio.Semaphore(0)

    async def impatient(sock: socket.socket) -> None:
        await ended.acquire()

    def kept_for_a_while() -> bool:
        now = asyncio.get_running_loop().time()
        return any(now - it.since >= pool_module.MIN_IDLE_S for it in pool._parked.values())

    async with jump_server(impatient) as jump:
        with pool_at(jump.address, min_size=1, max_size=1) as pool:
            await eventually(kept_for_a_while)
            ended.release()
            await eventually(lambda: jump.accepted == 2 and len(pool) == 1)
            assert not pool.is_down
    assert caplog.records == []


async def test_unreachable_jump_host_is_logged_once_and_retried(monkeypatch, caplog):
    monkeypatch.setattr(pool_module, "FIRST_RETRY_S", 0.001)
    caplog.set_level(logging.INFO)
    address = closed_port()
    with pool_at(address, min_size=2, max_size=2) as pool:
        await eventually(lambda: pool._retry_pause > 0.004)
        assert [record.getMessage() for record in caplog.records] == [
            f"jump host {address}: connection refused; retrying"
        ]
        with pytest.raises(JumpHostUnreachable):
            await tunnel(pool)
        there = ListenAddress(address.host, address.port)
        async with jump_server_running(listen=[there]):
            await eventually(lambda: len(pool) == 2)
            assert caplog.records[-1].getMessage() == f"jump host {address} is up again"
            caplog.clear()
        await eventually(lambda: len(caplog.records) == 1)
        assert caplog.records[0].levelno == logging.WARNING


async def test_retry_pauses_are_limited(monkeypatch):
    monkeypatch.setattr(pool_module, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(pool_module, "MAX_RETRY_S", 0.002)
    with pool_at(closed_port(), min_size=1, max_size=1) as pool:
        await eventually(lambda: pool._retry_pause == 0.002)


async def test_concurrent_dials_are_limited(monkeypatch):
    monkeypatch.setattr(pool_module, "MAX_DIALS", 2)

    async with serving(scripted(Step.SILENCE)) as jump:
        with pool_at(jump.address, min_size=9, max_size=9) as pool:
            await eventually(lambda: jump.accepted == 2)
            assert len(pool._dialling) == 2


async def test_target_too_long_for_the_protocol_takes_no_connection():
    async with jump_server(serve_target) as jump:
        with pool_at(jump.address, min_size=1, max_size=1) as pool:
            await eventually(lambda: len(pool) == 1)
            too_long = Address(".".join([63 * "x"] * 3 + [61 * "x"]), 65535)
            with pytest.raises(AddressError):
                Upstream([pool]).connect(too_long, lambda _: None, lambda _: None)
            assert len(pool) == 1


async def test_cancelled_request_calls_no_callback():
    called: list[NetjumperError | Endpoint] = []
    async with jump_server(lambda sock: receive(sock)) as jump:
        with pool_at(jump.address, min_size=1, max_size=1) as pool:
            await eventually(lambda: len(pool) == 1)
            Upstream([pool]).connect(TARGET, called.append, called.append).cancel()
            await eventually(lambda: jump.accepted == 2)
    assert called == []
