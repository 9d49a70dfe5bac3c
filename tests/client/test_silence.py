"""Jump hosts that say nothing, or reset a new connection: what the error and the log say."""

import asyncio
import contextlib
import errno
import socket
import time

import pytest

from netjumper import Jumper, WrongSecret
from netjumper.addressing.address import Address
from netjumper.client.failures import lost, unreachable
from netjumper.client.jump_host import JumpHost
from netjumper.dial_errors import from_oserror
from netjumper.errors import JumpHostError, JumpHostUnreachable
from netjumper.net.dialer import Dialer
from netjumper.server.clients import single_secret
from netjumper.sessions.admission import AdmissionLimits
from tests.support.peers import Peer, eventually, serving
from tests.support.scripted_peer import CHALLENGE, Step, scripted
from tests.support.services import LOCAL_TARGETS, SECRET, jump_server_running, resolver

TARGET = Address("target.example", 443)
HINT = "; if that port is one of listen_tls, write netjumper+tls://"
BANNED = "it may have banned this address after failed authentications"


@pytest.fixture(autouse=True)
def short_silence(monkeypatch):
    monkeypatch.setattr("netjumper.client.silence.SILENCE_S", 0.05)


def jump_host_at(address: Address, timeout: float) -> JumpHost:
    loop = asyncio.get_running_loop()
    return JumpHost(loop, address, SECRET, Dialer(loop, timeout=5.0, resolver=resolver()), timeout)


async def failure(host: JumpHost) -> JumpHostError:
    """Return the error of an attempt, and check that nothing of it is left."""
    stands: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    host.connect(TARGET, stands.set_result, stands.set_exception)
    with pytest.raises(JumpHostError) as caught:
        await stands
    assert len(host.silence) == 0
    return caught.value


async def failure_in_a_thread(jump: Peer, timeout: float) -> JumpHostError:
    jumper = Jumper(str(jump.address), SECRET)
    with pytest.raises(JumpHostError) as caught:
        await asyncio.to_thread(jumper.connect, str(TARGET), timeout)
    return caught.value


async def test_error_of_a_silent_jump_host_asks_whether_it_waits_for_tls():
    async with serving(scripted(Step.SILENCE)) as jump:
        errors = [
            await failure(jump_host_at(jump.address, 0.1)),
            await failure_in_a_thread(jump, 0.1),
        ]
    for error in errors:
        assert str(error) == f"jump host {jump}: it did not answer in time{HINT}"


async def test_error_of_a_jump_host_that_ends_a_long_silence_asks_the_same():
    async def wait_for_tls(_sock: object) -> None:
        until = time.monotonic() + 0.06
        await eventually(lambda: time.monotonic() > until)

    async with serving(wait_for_tls) as jump:
        errors = [
            await failure(jump_host_at(jump.address, 30.0)),
            await failure_in_a_thread(jump, 30.0),
        ]
    for error in errors:
        expected = "it closed the connection without a challenge"
        assert str(error) == f"jump host {jump}: {expected}{HINT}"


@pytest.mark.parametrize("script", [(CHALLENGE[:9], Step.SILENCE), (CHALLENGE, Step.SILENCE)])
async def test_error_of_a_jump_host_that_spoke_says_nothing_about_tls(script):
    async with serving(scripted(*script)) as jump:
        errors = [
            await failure(jump_host_at(jump.address, 0.1)),
            await failure_in_a_thread(jump, 0.1),
        ]
    for error in errors:
        assert str(error) == f"jump host {jump}: it did not answer in time"


async def test_first_silence_is_logged_before_the_timeout_and_only_once(caplog):
    async with serving(scripted(Step.SILENCE)) as jump:
        host = jump_host_at(jump.address, 30.0)
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                connection = host.connect(TARGET, lambda _: None, lambda _: None)
                stack.callback(connection.cancel)
            await eventually(lambda: caplog.messages)
            await failure(jump_host_at(jump.address, 0.1))
    lines = [it for it in caplog.messages if f"{jump}: silent for 0.05 s{HINT}" in it]
    assert len(lines) == 2  # one for each `JumpHost`


async def test_silence_of_a_jump_host_that_spoke_before_is_not_logged(caplog):
    scripts = iter([(CHALLENGE,), (Step.SILENCE,)])

    async def behave(sock: socket.socket) -> None:
        await scripted(*next(scripts))(sock)

    async with serving(behave) as jump:
        host = jump_host_at(jump.address, 0.2)
        await failure(host)
        assert HINT in str(await failure(host))
    assert caplog.messages == []


async def test_reset_of_a_new_connection_is_one_error_whenever_it_is_noticed():
    reset = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    async with serving(scripted(Step.RESET)) as jump:
        errors = [
            unreachable(from_oserror(reset, "192.0.2.1:9527")).at(jump),
            lost(reset, heard=False).at(jump),
            await failure(jump_host_at(jump.address, 30.0)),
            await failure_in_a_thread(jump, 30.0),
        ]
    assert {type(it) for it in errors} == {JumpHostUnreachable}
    assert len({str(it) for it in errors}) == 1
    assert BANNED in str(errors[0])


async def test_right_secret_from_a_banned_address_gets_an_error_about_the_ban():
    limits = AdmissionLimits(auth_failures=1)
    clients = single_secret(SECRET, LOCAL_TARGETS)
    async with jump_server_running(clients=clients, admission=limits) as (_, address):
        with pytest.raises(WrongSecret):
            await asyncio.to_thread(Jumper(str(address), "wrong").connect, str(TARGET), 30.0)
        for _ in range(10):
            error = await failure(jump_host_at(address, 30.0))
            assert type(error) is JumpHostUnreachable
            assert BANNED in str(error)
