"""The client library's streams and transports, on a loop of each kind."""

import asyncio
import contextlib
import gc
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from netjumper import Jumper
from netjumper.net.dialer import UnsupportedLoop
from tests.support.jumpers import REQUEST, TARGET, jumper_running, tls_server
from tests.support.peers import answer_after_end, echo, no_descriptor_leaks, receive_to_end, serving
from tests.support.scripted_peer import CHALLENGE, Step, scripted
from tests.support.services import SECRET

try:
    import uvloop
except ImportError:
    uvloop = None

Scenario = Callable[[], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine function on a loop of each kind."""
    if request.param == "uvloop" and uvloop is None:
        pytest.skip("uvloop is not installed")
    factory = uvloop.new_event_loop if request.param == "uvloop" else None

    def run_it(scenario: Scenario) -> None:
        async def with_descriptors_counted() -> None:
            async with no_descriptor_leaks():
                await scenario()

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(with_descriptors_counted())
        gc.collect()  # what was not closed warns here, and warnings are errors

    return run_it


async def test_loop_that_cannot_watch_sockets_is_reported_at_once():
    class Proactor(asyncio.SelectorEventLoop):
        """As Windows' default loop: it has no way to watch a socket."""

        add_reader = asyncio.AbstractEventLoop.add_reader
        add_writer = asyncio.AbstractEventLoop.add_writer
        remove_reader = asyncio.AbstractEventLoop.remove_reader
        remove_writer = asyncio.AbstractEventLoop.remove_writer

    # Its own self-pipe is watched by a private way, so it runs all the same.
    async def scenario() -> None:
        with pytest.raises(UnsupportedLoop, match="Proactor cannot watch sockets"):
            await Jumper("127.0.0.1:9", SECRET).open_connection("127.0.0.1:9")

    def in_a_thread() -> None:
        with asyncio.Runner(loop_factory=Proactor) as runner:
            runner.run(scenario())

    await asyncio.to_thread(in_a_thread)


def test_streams(run):
    async def scenario() -> None:
        async with serving(answer_after_end) as target, jumper_running() as jumper:
            reader, writer = await jumper.open_connection(str(target))
            writer.write(b"hello")
            writer.write_eof()
            assert await reader.read() == b"5 bytes received"
            writer.close()
            await writer.wait_closed()

    run(scenario)


def test_open_socket_returns_a_connected_socket(run):
    async def scenario() -> None:
        async with serving(answer_after_end) as target, jumper_running() as jumper:
            with await jumper.open_socket(str(target)) as sock:
                assert type(sock) is socket.socket
                assert sock.gettimeout() == 0
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(sock, b"hello")
                sock.shutdown(socket.SHUT_WR)
                assert await loop.sock_recv(sock, 100) == b"5 bytes received"

    run(scenario)


def test_streams_take_the_arguments_of_asyncios(run):
    async def scenario() -> None:
        async with serving(scripted(b"x" * 1000)) as target, jumper_running() as jumper:
            reader, writer = await jumper.open_connection(str(target), limit=100)
            with pytest.raises(asyncio.LimitOverrunError):
                await reader.readuntil(b"\n")
            writer.close()
            await writer.wait_closed()

    run(scenario)


def test_streams_lose_no_bytes_with_the_outcome(run):
    async def scenario() -> None:
        async with serving(scripted(CHALLENGE, REQUEST, b"\0\0" + b"220 ready")) as jump:
            reader, writer = await Jumper(str(jump), SECRET).open_connection(str(TARGET))
            assert await reader.read() == b"220 ready"
            writer.close()
            await writer.wait_closed()

    run(scenario)


class Collecting(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


def test_a_transport_and_a_protocol(run):
    async def scenario() -> None:
        async with serving(answer_after_end) as target, jumper_running() as jumper:
            transport, protocol = await jumper.create_connection(Collecting, str(target))
            transport.write(b"hello")
            transport.write_eof()
            await protocol.lost
            assert protocol.received == b"5 bytes received"
            transport.close()

    run(scenario)


def test_a_protocol_that_cannot_be_made_leaves_no_connection(run):
    def fail() -> asyncio.Protocol:
        raise ArithmeticError

    async def scenario() -> None:
        async with serving(echo) as target, jumper_running() as jumper:
            with pytest.raises(ArithmeticError):
                await jumper.create_connection(fail, str(target))

    run(scenario)


# --- TLS with the target ------------------------------------------------------------------


async def tls_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        writer.write(await reader.readexactly(5))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def test_streams_with_tls_check_the_targets_name(run, authority, trusting):
    async def scenario() -> None:
        async with tls_server(authority, tls_echo) as port, jumper_running() as jumper:
            reader, writer = await jumper.open_connection(f"target.example:{port}", ssl=trusting)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()

    run(scenario)


def test_a_transport_with_tls_checks_the_targets_name(run, authority, trusting):
    async def scenario() -> None:
        async with tls_server(authority, tls_echo) as port, jumper_running() as jumper:
            transport, protocol = await jumper.create_connection(
                Collecting, f"target.example:{port}", ssl=trusting
            )
            transport.write(b"hello")
            await protocol.lost
            assert protocol.received == b"hello"

    run(scenario)


def test_the_name_to_check_can_be_another(run, authority, trusting):
    async def scenario() -> None:
        async with tls_server(authority, tls_echo) as port, jumper_running() as jumper:
            reader, writer = await jumper.open_connection(
                f"127.0.0.1:{port}", ssl=trusting, server_hostname="target.example"
            )
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()

    run(scenario)


def test_a_certificate_for_another_name_is_refused(run, authority, trusting):
    async def scenario() -> None:
        async with tls_server(authority, tls_echo) as port, jumper_running() as jumper:
            with pytest.raises(ssl.SSLCertVerificationError):
                await jumper.open_connection(f"localhost:{port}", ssl=trusting)

    run(scenario)


# --- cancelling ---------------------------------------------------------------------------


def test_cancelled_it_closes_its_connection(run):
    async def scenario() -> None:
        asked, closed = asyncio.Event(), asyncio.Event()

        async def notice(sock: socket.socket) -> None:
            await scripted(CHALLENGE, REQUEST, b"\0")(sock)
            asked.set()
            assert await receive_to_end(sock) == b""
            closed.set()

        async with serving(notice) as jump:
            opening = asyncio.create_task(Jumper(str(jump), SECRET).open_connection(str(TARGET)))
            await asked.wait()
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await closed.wait()

    run(scenario)


@pytest.mark.parametrize("outcome", [b"\0", b"\1\4nope"], ids=["yes", "no"])
@pytest.mark.parametrize("first", ["cancelled", "message"])
async def test_cancel_in_the_turn_of_the_outcome_leaves_nothing(monkeypatch, outcome, first):
    """The outcome and the caller's giving up may meet in either order."""
    from netjumper.client.jump_host import JumpConnection

    message = JumpConnection._on_readable

    def on_readable(connection: JumpConnection) -> None:
        last = connection._handshake.authenticated
        if last and first == "cancelled":
            opening.cancel()
        message(connection)
        if last and first == "message":
            opening.cancel()

    monkeypatch.setattr(JumpConnection, "_on_readable", on_readable)
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, it: failures.append(it))
    say = asyncio.Event()
    script = scripted(CHALLENGE, REQUEST, b"\0", say, outcome, Step.SILENCE)
    async with serving(script) as jump:
        async with no_descriptor_leaks():
            opening = asyncio.create_task(Jumper(str(jump), SECRET).open_connection(str(TARGET)))
            say.set()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await asyncio.sleep(0)
    assert failures == []
