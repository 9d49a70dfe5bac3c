"""The deadlines of handshakes, parked connections and idle tunnels."""

import asyncio
import logging

import pytest

from netjumper.sessions.manager import TunnelLimits
from tests.support.peers import (
    connected,
    echo,
    eventually,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    send,
    serving,
    unresponsive,
)
from tests.support.services import (
    answer,
    destination,
    jump_server_running,
    request_tunnel,
)


async def test_a_silent_client_is_closed(caplog):
    async with jump_server_running(limits=TunnelLimits(handshake=0.1)) as (service, address):
        with await connected(address) as sock:
            assert len(await receive_to_end(sock)) == 33
        assert len(service.sessions) == 0
    assert caplog.records == []


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(TunnelLimits(parked=0.1), id="parked for too long"),
        pytest.param(TunnelLimits(handshake=0.1, parked=0), id="parking is off"),
        pytest.param(TunnelLimits(handshake=0.1, max_parked=0), id="no parked connections allowed"),
    ],
)
async def test_a_client_that_names_no_target_is_closed_without_a_log_line(caplog, limits):
    caplog.set_level(logging.INFO)
    async with jump_server_running(limits=limits) as (_, address):
        with await connected(address) as sock:
            await send(sock, await answer(sock))
            assert await receive_to_end(sock) == b"\0"
    assert caplog.records == []


async def test_a_parked_client_has_more_time_than_a_handshake():
    limits = TunnelLimits(handshake=0.05)
    async with serving(echo) as target, jump_server_running(limits=limits) as (service, address):
        with await connected(address) as parked, await connected(address) as idle:
            await send(parked, await answer(parked))
            assert await receive_exactly(parked, 1) == b"\0"
            assert await receive_to_end(idle) != b""  # a handshake's time is over
            assert len(service.sessions.context.handshakes.parked) == 1
            await send(parked, destination(target.address))
            assert await receive_exactly(parked, 1) == b"\0"
            assert len(service.sessions.context.handshakes.parked) == 0


async def test_parked_client_with_a_begun_request_has_the_handshake_deadline():
    limits = TunnelLimits(handshake=0.05)
    async with jump_server_running(limits=limits) as (service, address):
        with await connected(address) as sock:
            await send(sock, await answer(sock))
            assert await receive_exactly(sock, 1) == b"\0"
            await send(sock, b"\x20")
            assert await receive_to_end(sock) == b""
            assert len(service.sessions.context.handshakes.parked) == 0


async def test_connections_beyond_max_parked_have_the_handshake_deadline():
    limits = TunnelLimits(handshake=0.05, max_parked=1)
    async with jump_server_running(limits=limits) as (service, address):
        with await connected(address) as first, await connected(address) as second:
            await send(first, await answer(first))
            assert await receive_exactly(first, 1) == b"\0"
            await send(second, await answer(second))
            assert await receive_to_end(second) == b"\0"
            assert len(service.sessions.context.handshakes.parked) == 1
            first.close()
            await eventually(lambda: len(service.sessions.context.handshakes.parked) == 0)
        with await connected(address) as third:
            await send(third, await answer(third))
            assert await receive_exactly(third, 1) == b"\0"
            await eventually(lambda: len(service.sessions.context.handshakes.parked) == 1)


async def test_bytes_that_trickle_in_do_not_move_the_deadline():
    loop = asyncio.get_running_loop()
    async with jump_server_running(limits=TunnelLimits(handshake=0.3)) as (service, address):
        began = loop.time()
        with await connected(address) as sock:
            trickle = iter(await answer(sock) + destination("x" * 200))
            while len(service.sessions):
                sock.send(bytes((next(trickle),)))
                await asyncio.sleep(0.01)  # this is what makes it trickle
            assert 0.3 - 1e-6 <= loop.time() - began < 2


async def test_the_handshakes_deadline_does_not_end_a_tunnel_or_a_dial():
    limits = TunnelLimits(handshake=0.1)
    with unresponsive() as silent:
        async with serving(echo) as target, jump_server_running(limits=limits) as (_, address):
            with (
                await request_tunnel(address, target) as sock,
                await request_tunnel(address, silent) as dialling,
            ):
                assert await receive_exactly(sock, 1) == b"\0"
                with await connected(address) as third:  # begins later, and runs out
                    assert len(await receive_to_end(third)) == 33
                await send(sock, b"hello")
                assert await receive_exactly(sock, 5) == b"hello"
                with pytest.raises(BlockingIOError):
                    dialling.recv(1)


async def test_an_idle_tunnel_is_ended():
    async with serving(echo) as target:
        async with jump_server_running(limits=TunnelLimits(idle=0.1)) as (service, address):
            with await request_tunnel(address, target) as sock:
                assert await receive_to_reset(sock) == b"\0"
            assert len(service.sessions) == 0
