"""A way to targets through one jump server, over jump servers that follow a script."""

import asyncio
import hashlib
import socket

import pytest

from netjumper.addressing.address import Address
from netjumper.client.jump_host import JumpHost
from netjumper.errors import (
    AddressError,
    JumpHostError,
    JumpHostProtocolError,
    JumpHostTimeout,
    JumpHostUnreachable,
    NameNotFound,
    NetjumperError,
    TargetError,
    TargetRefused,
    WrongSecret,
)
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint
from tests.support.peers import (
    closed_port,
    eventually,
    no_descriptor_leaks,
    receive,
    receive_exactly,
    receive_to_end,
    serving,
    unresponsive,
)
from tests.support.scripted_peer import ANSWER, CHALLENGE, Step, destination_size, scripted
from tests.support.services import SECRET, destination, jump_server_running, resolver

TARGET = Address("target.example", 443)
REQUEST = ANSWER + destination_size(TARGET)


pytestmark = pytest.mark.usefixtures("nothing_is_left")


class Attempt:
    """A tunnel on its way."""

    def __init__(self, jump_host: Address, target: Address = TARGET, timeout: float = 30.0) -> None:
        loop = asyncio.get_running_loop()
        dialer = Dialer(loop, timeout=0.2, resolver=resolver())
        self.host = JumpHost(loop, jump_host, SECRET, dialer, timeout)
        self.stands: asyncio.Future[Endpoint] = loop.create_future()
        self.connection = self.host.connect(
            target, self.stands.set_result, self.stands.set_exception
        )
        assert not self.stands.done(), "called before connect() returned"

    async def socket(self) -> socket.socket:
        return (await self.stands).detach()

    async def error(self) -> NetjumperError:
        with pytest.raises(NetjumperError) as caught:
            await self.stands
        assert len(self.host.deadlines) == 0
        return caught.value


async def test_a_tunnel_through_a_real_jump_server():
    async with serving(scripted(b"220 ready", Step.ECHO)) as target:
        async with jump_server_running() as (_, address):
            with await Attempt(address, target.address).socket() as sock:
                assert await receive_exactly(sock, 9) == b"220 ready"


async def test_answer_and_destination_leave_together():
    segment: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def note(sock: socket.socket) -> None:
        await scripted(CHALLENGE)(sock)
        segment.set_result(await receive(sock))
        await scripted(b"\0\0", Step.SILENCE)(sock)

    async with serving(note) as jump:
        (await Attempt(jump.address).socket()).close()
    answer = hashlib.sha1(CHALLENGE[1:] + SECRET).digest()
    assert await segment == b"\x14" + answer + destination(TARGET)


async def test_outcome_can_come_byte_by_byte_and_nothing_after_it_is_read():
    pieces = [bytes((byte,)) for byte in CHALLENGE]
    async with serving(scripted(*pieces, REQUEST, b"\0", b"\0", b"first words")) as jump:
        with await Attempt(jump.address).socket() as sock:
            assert await receive_to_end(sock) == b"first words"


async def test_bytes_in_the_same_segment_as_the_outcome_stay_in_the_socket():
    async with serving(scripted(CHALLENGE, REQUEST, b"\0\0" + b"first words")) as jump:
        with await Attempt(jump.address).socket() as sock:
            assert await receive_to_end(sock) == b"first words"


@pytest.mark.parametrize(
    ("script", "kind", "text"),
    [
        ((), JumpHostProtocolError, "it closed the connection without a challenge"),
        (
            (CHALLENGE[:7],),
            JumpHostProtocolError,
            "it closed the connection without a challenge",
        ),
        (
            (CHALLENGE[:7], Step.RESET),
            JumpHostProtocolError,
            "lost in the middle of the handshake: Connection reset by peer",
        ),
        (
            (CHALLENGE, REQUEST),
            JumpHostProtocolError,
            "it closed the connection without a verdict",
        ),
        ((CHALLENGE, REQUEST, b"\1\4nope"), WrongSecret, "nope"),
        ((CHALLENGE, REQUEST, b"\7"), WrongSecret, "no reason given"),
        ((CHALLENGE, REQUEST, b"\1\x20half a text"), WrongSecret, "half a text"),
        (
            (CHALLENGE, REQUEST, b"\0"),
            JumpHostProtocolError,
            "it closed the connection without an outcome",
        ),
        (
            (CHALLENGE, REQUEST, b"\0", Step.RESET),
            JumpHostProtocolError,
            "lost in the middle of the handshake: Connection reset by peer",
        ),
    ],
)
async def test_jump_host_failure_names_the_jump_host(script, kind, text):
    async with serving(scripted(*script)) as jump:
        error = await Attempt(jump.address).error()
    assert type(error) is kind
    assert isinstance(error, JumpHostError)
    assert str(error) == f"jump host {jump}: {text}"


@pytest.mark.parametrize(
    ("outcome", "kind", "text"),
    [
        (b"\1\x12connection refused", TargetError, "connection refused"),
        (b"\7\x1bconnect: connection refused", TargetRefused, "connect: connection refused"),
        (b"\1\x0cno such host", NameNotFound, "no such host"),
        (b"\1", TargetError, "no reason given"),
        (b"\xff\0", TargetError, "no reason given"),
    ],
)
async def test_target_failure_is_a_target_error(outcome, kind, text):
    async with serving(scripted(CHALLENGE, REQUEST, b"\0" + outcome)) as jump:
        error = await Attempt(jump.address).error()
    assert type(error) is kind
    assert str(error) == text


@pytest.mark.parametrize(
    "script",
    [(), (CHALLENGE[:7],), (CHALLENGE,), (CHALLENGE, REQUEST, b"\0"), (CHALLENGE, b"\1\x20half")],
)
async def test_a_jump_host_that_falls_silent_times_out(script):
    async with serving(scripted(*script, Step.SILENCE)) as jump:
        error = await Attempt(jump.address, timeout=0.05).error()
        assert type(error) is JumpHostTimeout
        assert isinstance(error, TimeoutError)
        assert str(error) == f"jump host {jump}: it did not answer in time"


async def test_a_jump_host_that_is_down():
    address = closed_port()
    error = await Attempt(address).error()
    assert type(error) is JumpHostUnreachable
    assert isinstance(error, ConnectionError)
    assert str(error) == f"jump host {address}: connection refused"
    assert isinstance(error.__cause__, TargetRefused)


async def test_a_jump_host_that_does_not_answer_the_dial():
    with unresponsive() as address:
        error = await Attempt(address).error()
    assert str(error) == f"jump host {address}: i/o timeout"


async def test_a_jump_host_whose_name_does_not_exist():
    error = await Attempt(Address("none.example", 9527)).error()
    assert type(error) is JumpHostUnreachable
    assert str(error) == "jump host none.example:9527: no such host"


async def test_a_jump_host_whose_name_is_not_looked_up_in_time(monkeypatch):
    monkeypatch.setattr("netjumper.net.resolver.Resolver.resolve", lambda *_: None)
    error = await Attempt(Address("slow.example", 9527)).error()
    assert str(error) == (
        "jump host slow.example:9527: its name was not looked up in time (i/o timeout)"
    )


async def test_a_jump_host_that_does_not_read(monkeypatch):
    async with serving(scripted(CHALLENGE, Step.SILENCE)) as jump:
        monkeypatch.setattr("netjumper.net.endpoint.Endpoint.send", lambda *_: 0)
        error = await Attempt(jump.address).error()
    assert str(error) == f"jump host {jump}: it does not read"


async def test_a_target_too_long_for_the_wire_is_refused_before_anything_is_dialled():
    async with serving(scripted(Step.SILENCE)) as jump:
        labels = [63 * "x", 63 * "x", 63 * "x", 61 * "x"]
        with pytest.raises(AddressError):
            Attempt(jump.address, Address(".".join(labels), 65535))
        assert await jump.connection_count() == 0


async def test_cancelled_while_it_dials_it_calls_nothing():
    with unresponsive() as address:
        attempt = Attempt(address)
        attempt.connection.cancel()
        attempt.connection.cancel()
        async with no_descriptor_leaks():
            pass
        assert not attempt.stands.done()
        assert len(attempt.host.deadlines) == 0


async def test_cancelled_in_its_handshake_it_closes_the_connection_and_calls_nothing():
    closed = asyncio.Event()

    async def notice(sock: socket.socket) -> None:
        await scripted(CHALLENGE, REQUEST, b"\0")(sock)
        assert await receive_to_end(sock) == b""
        closed.set()

    async with serving(notice) as jump:
        attempt = Attempt(jump.address)
        await eventually(lambda: attempt.connection._handshake.authenticated)
        attempt.connection.cancel()
        await closed.wait()
        assert not attempt.stands.done()
        assert len(attempt.host.deadlines) == 0


async def test_repr_shows_no_secret():
    loop = asyncio.get_running_loop()
    host = JumpHost(loop, Address("home.example", 9527), SECRET, Dialer(loop, timeout=1.0))
    assert repr(host) == "<JumpHost home.example:9527>"


@pytest.mark.parametrize(("challenge", "warnings"), [(CHALLENGE, 1), (Step.CHALLENGE, 0)])
async def test_repeated_challenge_is_warned_about_once(challenge, warnings, caplog):
    async with serving(scripted(challenge, REQUEST, b"\0\0")) as jump:
        attempt = Attempt(jump.address)
        (await attempt.socket()).close()
        for _ in range(2):
            stands: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
            attempt.host.connect(TARGET, stands.set_result, stands.set_exception)
            (await stands).close()
    repeated = [it for it in caplog.messages if "it sent the same challenge twice" in it]
    assert len(repeated) == warnings
