"""The bridge, seen from a program: over a real jump server, and over jump servers gone wrong."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.server.guard import Guard
from netjumper.sessions.manager import TunnelLimits
from netjumper.sessions.service import Service
from tests.support.peers import (
    ANSWER,
    CHALLENGE,
    Script,
    Step,
    answer_after_end,
    closed_port,
    connected,
    destination_size,
    echo,
    eventually,
    nothing_to_receive,
    receive,
    receive_exactly,
    receive_to_end,
    receive_to_reset,
    reset,
    scripted,
    send,
    serving,
    speak_first,
    unanswering,
)
from tests.support.services import NAMES, SECRET, bridge_running, destination, jump_server_running

TARGET = Address("target.example", 443)
GRANTED5 = b"\5\0\0\1\0\0\0\0\0\0"
GRANTED4 = b"\0\x5a\0\0\0\0\0\0"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


# --- programs that speak to a proxy -------------------------------------------------------


def socks5_request(target: Address) -> bytes:
    host = target.host.encode()
    return b"\5\1\0" + b"\5\1\0\3" + bytes((len(host),)) + host + target.port.to_bytes(2)


def socks4a_request(target: Address) -> bytes:
    return b"\4\1" + target.port.to_bytes(2) + b"\0\0\0\1me\0" + target.host.encode() + b"\0"


def http_request(target: Address) -> bytes:
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()


Ways = list[tuple[str, Callable[[Address], bytes], bytes]]
WAYS: Ways = [
    ("socks", socks5_request, b"\5\0" + GRANTED5),
    ("socks", socks4a_request, GRANTED4),
    ("http", http_request, ESTABLISHED),
    ("mixed", socks5_request, b"\5\0" + GRANTED5),
    ("mixed", socks4a_request, GRANTED4),
    ("mixed", http_request, ESTABLISHED),
]
every_way = pytest.mark.parametrize(
    ("door", "request_for", "granted"),
    WAYS,
    ids=[f"{door}-{request_for.__name__}" for door, request_for, _ in WAYS],
)


async def asked(service: Service, door: str, request: bytes) -> socket.socket:
    sock = await connected(service.address_of(door))
    await send(sock, request)
    return sock


async def socks5_code(service: Service, target: Address) -> int:
    """Return the code that a SOCKS5 program is told, to its last byte."""
    with await asked(service, "socks", socks5_request(target)) as sock:
        reply = await receive_to_end(sock)
    assert reply[:3] == b"\5\0\5"
    assert reply[4:] == b"\0\1\0\0\0\0\0\0"
    return reply[3]


async def socks4_code(service: Service, target: Address) -> int:
    with await asked(service, "socks", socks4a_request(target)) as sock:
        reply = await receive_to_end(sock)
    assert len(reply) == 8
    return reply[1]


async def http_answer(service: Service, target: Address) -> tuple[int, str, str]:
    """Return status, `Proxy-Status` field and body that an HTTP program is told."""
    with await asked(service, "http", http_request(target)) as sock:
        head, _, body = (await receive_to_end(sock)).decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert int(fields["content-length"]) == len(body.encode())
    assert body.endswith("\n")
    assert "\n" not in body[:-1]
    return int(lines[0].split()[1]), fields["proxy-status"], body


# --- the way it should go -----------------------------------------------------------------


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A bridge before a real jump server."""
    async with jump_server_running() as (_, address), bridge_running(address) as service:
        yield service


@every_way
async def test_a_program_is_led_to_its_target(service, door, request_for, granted):
    async with serving(echo) as target:
        with await asked(service, door, request_for(target.address)) as sock:
            assert await receive_exactly(sock, len(granted)) == granted
            await send(sock, b"hello")
            assert await receive_exactly(sock, 5) == b"hello"
            sock.shutdown(socket.SHUT_WR)
            assert await receive(sock) == b""
        await eventually(lambda: len(service.sessions) == 0)


@every_way
async def test_a_program_may_speak_one_byte_at_a_time(service, door, request_for, granted):
    async with serving(echo) as target:
        with await connected(service.address_of(door)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request_for(target.address) + b"hello":
                await send(sock, bytes((byte,)))
            assert await receive_exactly(sock, len(granted) + 5) == granted + b"hello"


@every_way
async def test_a_program_may_end_behind_its_request(service, door, request_for, granted):
    async with serving(answer_after_end) as target:
        with await asked(service, door, request_for(target.address) + b"hello") as sock:
            sock.shutdown(socket.SHUT_WR)
            assert await receive_to_end(sock) == granted + b"5 bytes received"


async def test_a_target_that_speaks_first_is_heard(service):
    async with serving(speak_first(b"220 ready")) as target:
        with await asked(service, "http", http_request(target.address)) as sock:
            data = await receive_exactly(sock, len(ESTABLISHED) + 9)
            assert data == ESTABLISHED + b"220 ready"


async def test_names_are_looked_up_by_the_jump_server_and_not_here(service, monkeypatch):
    async with serving(echo) as target:
        monkeypatch.setitem(NAMES, "only-there.example", target.address.host)
        there = Address("only-there.example", target.address.port)
        with await asked(service, "socks", socks5_request(there)) as sock:
            assert await receive_exactly(sock, 12) == b"\5\0" + GRANTED5


async def test_names_leave_the_bridge_as_they_came():
    size = destination_size(TARGET)
    frames: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def note(sock: socket.socket) -> None:
        await scripted(CHALLENGE, ANSWER)(sock)
        frames.set_result(await receive_exactly(sock, size))
        await scripted(b"\0\0", Step.ECHO)(sock)

    async with serving(note) as jump, bridge_running(jump.address) as service:
        with await asked(service, "http", http_request(TARGET)) as sock:
            assert await receive_exactly(sock, len(ESTABLISHED)) == ESTABLISHED
            assert await frames == destination(TARGET)


async def test_two_hundred_tunnels_at_a_time(service):
    async with serving(echo) as target:
        request = socks5_request(target.address)
        socks = await asyncio.gather(*(asked(service, "socks", request) for _ in range(200)))
        for number, sock in enumerate(socks):
            assert await receive_exactly(sock, 12) == b"\5\0" + GRANTED5
            await send(sock, b"%04d" % number)
        for number, sock in enumerate(socks):
            assert await receive_exactly(sock, 4) == b"%04d" % number
        assert len(service.sessions) == 200
        for sock in socks:
            sock.close()
        await eventually(lambda: len(service.sessions) == 0)


async def test_a_jump_servers_reset_reaches_the_program_as_a_reset():
    script = (CHALLENGE, ANSWER + destination_size(TARGET), b"\0\0", 5, Step.RESET)
    async with serving(scripted(*script)) as jump, bridge_running(jump.address) as service:
        with await asked(service, "http", http_request(TARGET)) as sock:
            assert await receive_exactly(sock, len(ESTABLISHED)) == ESTABLISHED
            await send(sock, b"hello")
            assert await receive_to_reset(sock) == b""


async def test_an_idle_tunnel_is_ended():
    async with (
        serving(echo) as target,
        jump_server_running() as (_, address),
        bridge_running(address, limits=TunnelLimits(idle=0.1)) as service,
    ):
        with await asked(service, "http", http_request(target.address)) as sock:
            assert await receive_to_reset(sock) == ESTABLISHED
        assert len(service.sessions) == 0


# --- nothing is told before it is true ----------------------------------------------------


@every_way
async def test_success_is_told_only_when_the_jump_server_has_said_so(door, request_for, granted):
    asked_for, say_yes = asyncio.Event(), asyncio.Event()
    greeting = b"\5\0" if granted.startswith(b"\5") else b""

    async def withhold(sock: socket.socket) -> None:
        await scripted(CHALLENGE, ANSWER, b"\0", destination_size(TARGET))(sock)
        asked_for.set()
        await scripted(say_yes, b"\0", Step.ECHO)(sock)

    async with serving(withhold) as jump, bridge_running(jump.address) as service:
        with await asked(service, door, request_for(TARGET)) as sock:
            assert await receive_exactly(sock, len(greeting)) == greeting
            await asked_for.wait()
            assert nothing_to_receive(sock)
            say_yes.set()
            rest = granted.removeprefix(greeting)
            assert await receive_exactly(sock, len(rest)) == rest


@every_way
async def test_bytes_behind_the_request_wait_for_the_outcome_and_then_come_first(
    door, request_for, granted
):
    say_yes = asyncio.Event()
    early: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def withhold(sock: socket.socket) -> None:
        await scripted(CHALLENGE, ANSWER, b"\0", destination_size(TARGET))(sock)
        await say_yes.wait()
        early.set_result(not nothing_to_receive(sock))
        await scripted(b"\0", Step.ECHO)(sock)

    async with serving(withhold) as jump, bridge_running(jump.address) as service:
        with await asked(service, door, request_for(TARGET) + b"first ") as sock:
            await eventually(lambda: sent_ahead(service) == 6)
            await send(sock, b"second")
            await eventually(lambda: sent_ahead(service) == 12)
            say_yes.set()
            assert await receive_exactly(sock, len(granted) + 12) == granted + b"first second"
    assert await early is False


def sent_ahead(service: Service) -> int:
    """How many bytes wait for an outcome."""
    handshakes = [tunnel._handshake for tunnel in service.sessions._alive]
    return sum(handshake.trailing_size for handshake in handshakes if handshake is not None)


async def test_what_comes_with_the_outcome_is_not_lost():
    script = (CHALLENGE, ANSWER + destination_size(TARGET), b"\0\x00220 ready", Step.SILENCE)
    async with serving(scripted(*script)) as jump, bridge_running(jump.address) as service:
        with await asked(service, "http", http_request(TARGET)) as sock:
            data = await receive_exactly(sock, len(ESTABLISHED) + 9)
            assert data == ESTABLISHED + b"220 ready"


# --- targets that are not reached ---------------------------------------------------------


async def test_a_target_that_refuses(service):
    target = closed_port()
    assert await socks5_code(service, target) == 5
    assert await socks4_code(service, target) == 91
    status, proxy_status, body = await http_answer(service, target)
    assert status == 502
    assert proxy_status.startswith("netjumper; error=connection_refused; details=")
    assert proxy_status.endswith(", netjumper-bridge")
    assert "connection refused" in body
    assert str(target) in body


async def test_a_name_that_does_not_exist(service):
    target = Address("none.example", 443)
    assert await socks5_code(service, target) == 4
    assert await socks4_code(service, target) == 91
    status, proxy_status, body = await http_answer(service, target)
    assert status == 502
    assert "error=dns_error" in proxy_status
    assert "no such host" in body


async def test_a_target_that_does_not_answer():
    with unanswering() as target:
        async with jump_server_running(dial_timeout=0.05) as (_, address):
            async with bridge_running(address) as service:
                assert await socks5_code(service, target) == 6
                status, proxy_status, _ = await http_answer(service, target)
                assert status == 504
                assert proxy_status.startswith("netjumper; error=connection_timeout")


async def test_a_target_that_the_jump_server_denies():
    async with jump_server_running(guard=Guard()) as (_, address):
        async with bridge_running(address) as service:
            assert await socks5_code(service, Address("127.0.0.1", 80)) == 2
            status, proxy_status, _ = await http_answer(service, Address("127.0.0.1", 80))
            assert status == 403
            assert "error=destination_ip_prohibited" in proxy_status


async def test_a_target_too_long_for_the_wire(service):
    label = "x" * 63
    target = Address(f"{label}.{label}.{label}.{'x' * 61}", 65535)
    assert await socks5_code(service, target) == 1
    status, proxy_status, body = await http_answer(service, target)
    assert status == 400
    assert "netjumper-bridge; error=http_request_error" in proxy_status
    assert "255" in body


# --- jump hosts that do not let us through ------------------------------------------------


async def told(service: Service) -> tuple[int, int, str]:
    """Return what SOCKS5 and HTTP programs are told, the latter with its error type."""
    code = await socks5_code(service, TARGET)
    assert await socks4_code(service, TARGET) == 91
    status, proxy_status, _ = await http_answer(service, TARGET)
    hop, _, error = proxy_status.split("; ")[0], None, proxy_status.split("; ")[1]
    assert hop == "netjumper-bridge"
    return code, status, error.removeprefix("error=")


async def test_a_wrong_secret():
    async with jump_server_running() as (_, address):
        async with bridge_running(address, secret=b"wrong") as service:
            assert await told(service) == (1, 503, "proxy_configuration_error")


async def test_a_jump_host_that_is_down():
    async with bridge_running(closed_port()) as service:
        assert await told(service) == (1, 503, "destination_unavailable")


@pytest.mark.parametrize(
    "script",
    [
        (),
        (CHALLENGE[:10],),
        (CHALLENGE[:10], Step.RESET),
        (CHALLENGE, ANSWER + destination_size(TARGET)),
        (CHALLENGE, ANSWER + destination_size(TARGET), b"\0"),
        (CHALLENGE, ANSWER + destination_size(TARGET), b"\0", Step.RESET),
    ],
    ids=[
        "it closes at once",
        "half a challenge",
        "half a challenge and a reset",
        "no verdict",
        "no outcome",
        "a reset for an outcome",
    ],
)
async def test_a_jump_host_that_stops_in_the_middle(script: tuple[Script, ...]):
    async with serving(scripted(*script)) as jump, bridge_running(jump.address) as service:
        assert await told(service) == (1, 502, "connection_terminated")


@pytest.mark.parametrize(
    "script",
    [
        (Step.SILENCE,),
        (CHALLENGE[:10], Step.SILENCE),
        (CHALLENGE, Step.SILENCE),
        (CHALLENGE, ANSWER, b"\0", Step.SILENCE),
        (CHALLENGE, ANSWER, b"\0\1\x20half a text", Step.SILENCE),
    ],
    ids=["no challenge", "half a challenge", "no verdict", "no outcome", "half a text"],
)
async def test_a_jump_host_that_falls_silent(script: tuple[Script, ...]):
    async with serving(scripted(*script)) as jump:
        async with bridge_running(jump.address, jump_timeout=0.05) as service:
            assert await told(service) == (1, 504, "connection_timeout")


# --- programs that vanish -----------------------------------------------------------------


@pytest.mark.parametrize("vanish", [socket.socket.close, reset], ids=["close", "reset"])
@pytest.mark.parametrize("sent", [b"\5", b"\5\1\0", b"CONNECT x", b"\4\1\0\x50\0\0\0\1me\0ta"])
async def test_a_program_that_vanishes_in_its_request_leaves_nothing(service, sent, vanish):
    sock = await asked(service, "mixed", sent)
    await eventually(
        lambda: [t._phase._handshake is None for t in service.sessions._alive] == [False]
    )
    vanish(sock)
    await eventually(lambda: len(service.sessions) == 0)


async def test_a_program_that_resets_while_it_waits_takes_the_connection_with_it():
    named, gone = asyncio.Event(), asyncio.Event()

    async def withhold(sock: socket.socket) -> None:
        await scripted(CHALLENGE, ANSWER, b"\0", destination_size(TARGET))(sock)
        named.set()
        assert await receive_to_end(sock) == b""
        gone.set()

    async with serving(withhold) as jump, bridge_running(jump.address) as service:
        sock = await asked(service, "http", http_request(TARGET))
        await named.wait()
        reset(sock)
        await gone.wait()
        await eventually(lambda: len(service.sessions) == 0)


async def test_a_program_that_resets_while_the_jump_host_is_dialled_ends_the_dial():
    with unanswering() as jump_host:
        async with bridge_running(jump_host) as service:
            sock = await asked(service, "http", http_request(TARGET))
            await eventually(lambda: service.sessions.waiting == 1)
            reset(sock)
            await eventually(lambda: len(service.sessions) == 0)


async def test_a_program_that_asks_for_nothing_is_no_line_in_the_log(service, caplog):
    with caplog.at_level(logging.INFO, "netjumper.access"):
        for door in ("socks", "http", "mixed"):
            (await connected(service.address_of(door))).close()
        await eventually(lambda: len(service.sessions) == 0)
    assert caplog.records == []


async def test_a_program_that_does_not_finish_its_request_is_closed():
    limits = TunnelLimits(handshake=0.1)
    async with bridge_running(closed_port(), limits=limits) as service:
        for door in ("socks", "http", "mixed"):
            with await connected(service.address_of(door)) as sock:
                assert await receive(sock) == b""
        with await asked(service, "socks", b"\5\1\0\5\1") as sock:
            assert await receive_to_end(sock) == b"\5\0"


# --- credentials --------------------------------------------------------------------------


async def test_a_407_is_answered_on_the_same_connection():
    async with (
        serving(echo) as target,
        jump_server_running() as (_, address),
        bridge_running(address, credentials=Credentials({"ann": "pw"})) as service,
    ):
        with await asked(service, "http", http_request(target.address)) as sock:
            refusal = await receive(sock)
            assert refusal.startswith(b"HTTP/1.1 407 ")
            with_user = http_request(target.address)[:-2] + b"Proxy-Authorization: Basic "
            await send(sock, with_user + b"YW5uOnB3\r\n\r\n" + b"hello")
            data = await receive_exactly(sock, len(ESTABLISHED) + 5)
            assert data == ESTABLISHED + b"hello"


# --- the log ------------------------------------------------------------------------------


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[int], list]:
    caplog.set_level(logging.INFO, "netjumper.access")

    def bridge_lines(port: int) -> list:
        """Return what is logged of tunnels that began at the program's port."""
        return [r.msg for r in caplog.records if r.msg.peer == f"127.0.0.1:{port}"]

    return bridge_lines


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
async def test_a_wrong_proxy_password_is_in_the_log_however_the_program_leaves(leave, caplog):
    async with (
        jump_server_running() as (_, address),
        bridge_running(address, credentials=Credentials({"ann": "pw"})) as service,
    ):
        with caplog.at_level(logging.INFO, "netjumper.access"):
            guess = http_request(Address("target.example", 1))[:-2]
            guess += b"Proxy-Authorization: Basic YW5uOng=\r\n\r\n"
            sock = await asked(service, "http", guess)
            assert (await receive(sock)).startswith(b"HTTP/1.1 407 ")
            leave(sock)
            await eventually(lambda: bool(caplog.records))
    (record,) = caplog.records
    assert record.msg.ending.startswith("AuthenticationError: wrong proxy credentials")


async def test_a_tunnel_is_one_line_in_the_log(service, lines):
    async with serving(echo) as target:
        with await asked(service, "socks", socks5_request(target.address)) as sock:
            port = sock.getsockname()[1]
            assert await receive_exactly(sock, 12) == b"\5\0" + GRANTED5
            await send(sock, b"hello")
            assert await receive_exactly(sock, 5) == b"hello"
            sock.shutdown(socket.SHUT_WR)
            assert await receive(sock) == b""
        await eventually(lambda: bool(lines(port)))
        (end,) = lines(port)
        assert (end.target, end.bytes_up, end.bytes_down) == (str(target), 5, 5)
        assert (end.ending, end.failed) == ("closed", False)


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        ((), "JumpHostProtocolError: jump host {}: it closed the connection without a challenge"),
        (
            (CHALLENGE, ANSWER + destination_size(TARGET), b"\1\4nope"),
            "WrongSecret: jump host {}: nope",
        ),
        (
            (CHALLENGE, ANSWER + destination_size(TARGET), b"\0\7\x0bi/o timeout"),
            "TargetTimeout: i/o timeout",
        ),
    ],
)
async def test_a_failed_tunnel_is_one_line_in_the_log(lines, script, ending):
    async with serving(scripted(*script)) as jump, bridge_running(jump.address) as service:
        with await asked(service, "http", http_request(TARGET)) as sock:
            port = sock.getsockname()[1]
            await receive_to_end(sock)
        (end,) = lines(port)
        assert (end.target, end.failed) == (str(TARGET), True)
        assert end.ending == ending.format(jump)
        assert SECRET.decode() not in str(end)


# --- the end ------------------------------------------------------------------------------


async def test_closing_waits_for_tunnels_cuts_off_the_rest_and_accepts_no_more(service):
    async with serving(echo) as target:
        address = service.address_of("http")
        request = http_request(target.address)
        with (
            await asked(service, "http", request) as one,
            await asked(service, "http", request) as other,
        ):
            for sock in (one, other):
                assert await receive_exactly(sock, len(ESTABLISHED)) == ESTABLISHED
            closing = asyncio.create_task(service.close(grace=0.5))
            await eventually(lambda: service.listening == [])
            with pytest.raises(ConnectionRefusedError):
                await connected(address)
            one.shutdown(socket.SHUT_WR)
            assert await receive(one) == b""
            assert not closing.done()
            assert await closing == 1
            assert await receive_to_reset(other) == b""
