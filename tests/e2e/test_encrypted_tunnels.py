"""Tunnels over TLS between bridge and jump server, and connections that TLS refuses."""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import ssl
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData, JumpPolicy
from netjumper.bridge.upstream.balancing import balancing_for
from netjumper.bridge.upstream.pool import ConnectionPool, PoolLimits
from netjumper.bridge.upstream.upstream import Upstream
from netjumper.client.jump_host import JumpHost
from netjumper.errors import JumpHostError, JumpHostUntrusted
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint
from netjumper.tls.context import (
    Encryption,
    client_with_authority,
    client_with_pins,
    server_with_certificate,
)
from tests.support.peers import (
    answer_after_end,
    connected,
    echo,
    eventually,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset_after,
    send,
    serving,
)
from tests.support.relay_pair import MIB, receive_digest, send_random
from tests.support.services import SECRET, bridge_running
from tests.support.tls_pair import HOST, Sides, authority, sides_of, tls_jump_server

MIXED = "mixed"


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return sides_of(tmp_path_factory.mktemp("certificates"))


async def echo_after_all(sock: socket.socket) -> None:
    await send(sock, await receive_to_end(sock))


async def tunnel(listener: str, target: object) -> socket.socket:
    sock = await connected(Address.parse(listener))
    host, _, port = str(target).rpartition(":")
    name = host.encode()
    await send(sock, b"\5\1\0\5\1\0\3" + bytes((len(name),)) + name + int(port).to_bytes(2))
    assert await receive_exactly(sock, 12) == b"\5\0\5\0\0\1\0\0\0\0\0\0"
    return sock


async def test_tunnel_over_tls_ends_each_direction_on_its_own(sides):
    async def answer_at_the_end(sock: socket.socket) -> None:
        digest = hashlib.sha256(await receive_to_end(sock)).hexdigest()
        await send(sock, digest.encode())

    data = os.urandom(3 * MIB)
    async with serving(answer_at_the_end) as target, tls_jump_server(sides) as jump:
        async with bridge_running(jump, encryption=sides[0]) as service:
            with await tunnel(service.address_of(MIXED), target.address) as sock:
                await send(sock, data)
                sock.shutdown(socket.SHUT_WR)
                assert await receive_to_end(sock) == hashlib.sha256(data).hexdigest().encode()


async def test_silent_target_does_not_delay_the_outcome(sides):
    encryption = sides[0]
    loop = asyncio.get_running_loop()
    async with serving(echo_after_all) as target, tls_jump_server(sides) as jump:
        dialler = Dialer(loop, timeout=5.0, endpoint=encryption.endpoint)
        host = JumpHost(loop, jump, SECRET, dialler, 15.0)
        opened: asyncio.Future[Endpoint] = loop.create_future()
        connection = host.connect(target.address, opened.set_result, opened.set_exception)
        connection.send_early(b"hello")  # with it the outcome waits for the target's first bytes
        async with asyncio.timeout(10.0):
            endpoint = await opened
        endpoint.close()


async def test_bulk_goes_both_ways_at_once(sides):
    size = 16 * MIB

    async def both(sock: socket.socket) -> None:
        sent.append(await asyncio.gather(send_random(sock, size), receive_digest(sock, size)))

    sent: list[list[str]] = []
    async with serving(both) as target, tls_jump_server(sides) as jump:
        async with bridge_running(jump, encryption=sides[0]) as service:
            with await tunnel(service.address_of(MIXED), target.address) as sock:
                up, down = await asyncio.gather(send_random(sock, size), receive_digest(sock, size))
                await eventually(lambda: sent)
    assert sent == [[down, up]]


async def test_reset_stays_a_reset(sides):
    async with serving(reset_after(5, b"last words")) as target, tls_jump_server(sides) as jump:
        async with bridge_running(jump, encryption=sides[0]) as service:
            with await tunnel(service.address_of(MIXED), target.address) as sock:
                await send(sock, b"hello")
                assert await receive_to_reset(sock) == b"last words"


async def test_failed_dial_is_reported_over_tls(sides):
    async with tls_jump_server(sides) as jump, bridge_running(jump, encryption=sides[0]) as service:
        with await connected(Address.parse(service.address_of("http"))) as sock:
            await send(sock, b"CONNECT none.example:80 HTTP/1.1\r\nHost: none.example:80\r\n\r\n")
            assert b"no such host" in await receive_to_end(sock)


async def test_parked_tls_connection_takes_early_data(sides):
    loop = asyncio.get_running_loop()
    async with serving(echo) as target, tls_jump_server(sides) as jump:
        dialer = Dialer(loop, timeout=5.0, endpoint=sides[0].endpoint)
        with ConnectionPool(
            JumpHost(loop, jump, SECRET, dialer), PoolLimits(min_size=2, max_size=4)
        ) as it:
            policy = balancing_for(JumpPolicy.FIRST, [1])
            upstream = Upstream([it], policy, EarlyData("always"))
            await eventually(lambda: len(it) == 2)
            opened: asyncio.Future[Endpoint] = loop.create_future()
            opening = upstream.connect(target.address, opened.set_result, opened.set_exception)
            assert opening.optimistic
            opening.send_early(b"first bytes")
            endpoint = await opened
            got = b""

            def read() -> None:
                nonlocal got
                got += endpoint.recv(100) or b""

            endpoint.start_reading(read)
            await eventually(lambda: got == b"first bytes")
            endpoint.close()


async def test_target_that_answers_at_the_end_delays_no_outcome(sides):
    loop = asyncio.get_running_loop()
    async with serving(answer_after_end) as target, tls_jump_server(sides) as jump:
        dialer = Dialer(loop, timeout=5.0, endpoint=sides[0].endpoint)
        opened: asyncio.Future[Endpoint] = loop.create_future()
        opening = JumpHost(loop, jump, SECRET, dialer).connect(
            target.address, opened.set_result, opened.set_exception
        )
        opening.send_early(b"first bytes")
        (await asyncio.wait_for(opened, 5.0)).close()


# --- refused connections ------------------------------------------------------------------


async def trust_error(address: Address, encryption: Encryption) -> JumpHostError:
    """Return the error of a request to a jump host that cannot be used."""
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[Any] = loop.create_future()
    dialer = Dialer(loop, timeout=5.0, endpoint=encryption.endpoint)
    host = JumpHost(loop, address, SECRET, dialer)
    host.connect(Address("192.0.2.1", 80), failed.set_exception, failed.set_result)
    error = await failed
    assert isinstance(error, JumpHostError)
    return error


async def test_tls_client_never_sends_clear_text(sides):
    received = b""

    async def challenge(sock: socket.socket) -> None:
        nonlocal received
        await send(sock, b"\x20" + b"c" * 32)
        while data := await receive(sock):
            received += data

    async with serving(challenge) as jump:
        error = await trust_error(jump.address, sides[0])
    assert isinstance(error, JumpHostUntrusted)
    assert (
        str(error)
        == f"jump host {jump.address}: it does not speak TLS there; use the port of listen_tls"
    )
    assert received.startswith(b"\x16\x03")  # a ClientHello (RFC 8446 section 5.1)
    digest = hashlib.sha1(b"c" * 32 + SECRET).digest()
    assert digest not in received


async def test_untrusted_server_receives_nothing(sides):
    async with tls_jump_server(sides) as jump:
        error = await trust_error(jump, client_with_pins([b"x" * 32]))
    assert isinstance(error, JumpHostUntrusted)
    reason = "certificate verification failed: its certificate is not the pinned one; its pin is "
    assert str(error).startswith(f"jump host {jump}: {reason}")


async def test_tls_server_that_ends_during_the_handshake_is_reported(sides):
    async def end(sock: socket.socket) -> None:
        await receive(sock)

    async with serving(end) as jump:
        error = await trust_error(jump.address, sides[0])
    assert str(error) == f"jump host {jump.address}: it ended TLS in the middle"


async def test_tls_port_answers_nothing_else(sides, caplog):
    async with tls_jump_server(sides) as jump:
        with caplog.at_level(logging.DEBUG), await connected(jump) as sock:
            await send(sock, b"\x14" + b"x" * 20)
            answer = await receive_to_end(sock)
    assert answer[:1] != b"\x20"
    assert len(answer) < 16  # an alert
    assert [it.levelname for it in caplog.records if it.name == "netjumper.access"] == ["DEBUG"]


async def test_alert_reaches_a_client_that_keeps_sending(tmp_path):
    own, trusted = tmp_path / "own.pem", tmp_path / "authority.pem"
    authority().issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(own)
    authority().cert_pem.write_to_path(trusted)
    client = client_with_authority(HOST, trusted)

    def speak(jump: Address) -> str:
        with (
            socket.create_connection((jump.host, jump.port)) as sock,
            client.context.wrap_socket(sock, server_hostname=HOST) as tls,
        ):
            tls.sendall(b"x" * MIB)
            with pytest.raises(ssl.SSLError) as caught:
                tls.recv(1)
            assert socket.socket.recv(tls, 1) == b""  # the end behind it is no reset
        return str(caught.value.reason)

    async with tls_jump_server((client, server_with_certificate(own, trusted))) as jump:
        assert "CERTIFICATE_REQUIRED" in await asyncio.to_thread(speak, jump)


async def test_silent_tls_client_has_the_deadline_of_the_handshake(sides):
    from netjumper.sessions.manager import TunnelLimits

    async with tls_jump_server(sides, limits=TunnelLimits(handshake=0.05)) as jump:
        with await connected(jump) as sock:
            assert await receive_to_end(sock) == b""
        with await connected(jump) as sock:
            await send(sock, b"\x16\x03\x01\x02\x00")  # the beginning of a ClientHello
            assert await receive_to_end(sock) == b""


async def test_bytes_that_trickle_into_tls_do_not_move_the_deadline(sides):
    from netjumper.sessions.manager import TunnelLimits

    loop = asyncio.get_running_loop()
    async with tls_jump_server(sides, limits=TunnelLimits(handshake=0.3)) as jump:
        with await connected(jump) as sock:
            began = loop.time()
            await send(sock, b"\x16\x03\x01\x3f\x00")  # a ClientHello of 16 KB
            with contextlib.suppress(ConnectionError):
                while loop.time() - began < 2:
                    sock.send(b"\0")
                    await asyncio.sleep(0.01)  # so that the bytes arrive one by one
            assert 0.3 - 1e-6 <= loop.time() - began < 2
