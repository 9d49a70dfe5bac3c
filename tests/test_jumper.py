"""The client library: blocking sockets, streams and transports through a jump server."""

import asyncio
import contextlib
import gc
import http.client
import socket
import ssl
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trustme

import netjumper
from netjumper import Jumper
from netjumper.address import Address
from netjumper.errors import AddressError
from netjumper.net.endpoint import UnsupportedLoop
from rogues import (
    ANSWER,
    CHALLENGE,
    Step,
    answer_after_end,
    closed_port,
    destination_size,
    echo,
    eventually,
    no_descriptor_is_left,
    receive_to_end,
    scripted,
    serving,
    unanswering,
)
from services import NAMES, SECRET, jump_server_running

try:
    import uvloop
except ImportError:
    uvloop = None

TARGET = Address("target.example", 443)
REQUEST = ANSWER + destination_size(TARGET)
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
            async with no_descriptor_is_left():
                await scenario()

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(with_descriptors_counted())
        gc.collect()  # what was not closed warns here, and warnings are errors

    return run_it


@contextlib.asynccontextmanager
async def jumper_running(**options: Any) -> AsyncIterator[Jumper]:
    """A jump server, and a jumper that leads through it."""
    async with jump_server_running(**options) as (_, address):
        yield Jumper(str(address), SECRET)


async def connect(jumper: Jumper, target: object, **options: Any) -> socket.socket:
    """Do the blocking `connect` in a thread."""
    return await asyncio.to_thread(jumper.connect, str(target), **options)


async def open_and_close(jumper: Jumper, target: object, **options: Any) -> None:
    """Do `open_connection`, for its errors."""
    _, writer = await jumper.open_connection(str(target), **options)
    writer.close()
    await writer.wait_closed()


async def connect_and_close(jumper: Jumper, target: object, **options: Any) -> None:
    """Do `connect`, for its errors."""
    (await connect(jumper, target, **options)).close()


both_ways = pytest.mark.parametrize("attempt", [connect_and_close, open_and_close])


# --- the blocking socket ------------------------------------------------------------------


@pytest.fixture
async def _nothing_is_left() -> AsyncIterator[None]:
    async with no_descriptor_is_left():
        yield


@pytest.mark.usefixtures("_nothing_is_left")
class TestConnect:
    async def test_it_returns_an_ordinary_blocking_socket(self):
        def talk() -> bytes:
            with jumper.connect(str(target)) as sock:
                assert type(sock) is socket.socket
                assert sock.gettimeout() is None
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                sock.sendall(b"hello")
                sock.shutdown(socket.SHUT_WR)
                return sock.recv(100)

        async with serving(answer_after_end) as target, jumper_running() as jumper:
            assert await asyncio.to_thread(talk) == b"5 bytes received"

    async def test_its_timeout_is_the_one_that_was_asked_for(self):
        async with serving(echo) as target, jumper_running() as jumper:
            with await connect(jumper, target, timeout=7.5) as sock:
                assert sock.gettimeout() == 7.5

    async def test_its_timeout_is_the_systems_default_otherwise(self):
        async with serving(echo) as target, jumper_running() as jumper:
            socket.setdefaulttimeout(12.5)
            try:
                sock = await connect(jumper, target)
            finally:
                socket.setdefaulttimeout(None)
            with sock:
                assert sock.gettimeout() == 12.5

    async def test_names_are_resolved_by_the_jump_server(self, monkeypatch):
        async with serving(echo) as target, jumper_running() as jumper:
            monkeypatch.setitem(NAMES, "only-there.example", "127.0.0.1")
            there = Address("only-there.example", target.address.port)
            (await connect(jumper, there)).close()
            await eventually(lambda: target.accepted == 1)

    async def test_bytes_that_come_with_the_outcome_are_not_lost(self):
        async with serving(scripted(CHALLENGE, REQUEST, b"\0\0" + b"220 ready")) as jump:
            with await connect(Jumper(str(jump), SECRET), TARGET) as sock:
                assert await asyncio.to_thread(sock.recv, 100) == b"220 ready"

    async def test_it_can_be_handed_to_ssl_and_http_client(self, tls):
        async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        def get(port: int) -> bytes:
            connection = http.client.HTTPConnection("target.example", port)
            sock = jumper.connect(f"target.example:{port}", timeout=10)
            connection.sock = tls.client.wrap_socket(sock, server_hostname="target.example")
            with contextlib.closing(connection):
                connection.request("GET", "/")
                return connection.getresponse().read()

        async with tls_server(tls.server, web) as port, jumper_running() as jumper:
            assert await asyncio.to_thread(get, port) == b"hello"

    async def test_the_time_is_that_of_the_whole_not_of_each_step(self):
        pause = asyncio.Event()

        async def trickle(sock: socket.socket) -> None:
            with contextlib.suppress(ConnectionError):
                for byte in CHALLENGE:
                    await scripted(bytes((byte,)))(sock)
                    await asyncio.sleep(0.05)  # this is what makes it trickle
            pause.set()

        async with serving(trickle) as jump:
            began = time.monotonic()
            with pytest.raises(netjumper.JumpHostTimeout):
                await connect(Jumper(str(jump), SECRET), TARGET, timeout=0.3)
            assert 0.3 <= time.monotonic() - began < 1
            await pause.wait()

    async def test_the_addresses_of_a_jump_host_share_the_time(self, monkeypatch):
        with unanswering() as silent:

            def getaddrinfo(host: str, port: int, *args: Any, **_: Any) -> list[Any]:
                entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", (silent.host, silent.port))
                return [entry] * (4 if host == "home.example" else 1)

            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
            began = time.monotonic()
            jumper = Jumper(f"home.example:{silent.port}", SECRET)
            with pytest.raises(netjumper.JumpHostUnreachable, match="i/o timeout"):
                await connect(jumper, TARGET, timeout=0.4)
            assert 0.4 <= time.monotonic() - began < 1

    async def test_a_silent_address_of_a_jump_host_gives_way_to_the_next(self, monkeypatch):
        real = socket.getaddrinfo
        with unanswering("::1") as silent:
            async with (
                serving(echo) as target,
                jump_server_running(listen=[netjumper_listen(silent.port)]) as (_, address),
            ):

                def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
                    if host != "home.example":
                        return real(host, port, *args, **kwargs)
                    return real("::1", port, **kwargs) + real("127.0.0.1", port, **kwargs)

                monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
                jumper = Jumper(f"home.example:{address.port}", SECRET)
                (await connect(jumper, target, timeout=1.0)).close()

    async def test_a_jump_host_whose_name_has_no_address(self, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
        with pytest.raises(netjumper.JumpHostUnreachable, match="no such host"):
            await connect(Jumper("home.example:9527", SECRET), TARGET)


def netjumper_listen(port: int) -> Any:
    from netjumper.net.listener import ListenAddress

    return ListenAddress("127.0.0.1", port)


# --- streams and transports ---------------------------------------------------------------


async def test_a_loop_that_cannot_watch_sockets_is_told_at_once():
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


@pytest.mark.parametrize("secret", [5, None, ["s"]])
def test_a_secret_is_text_or_bytes(secret):
    with pytest.raises(TypeError):
        Jumper("127.0.0.1:9", secret)


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


def test_a_socket_for_what_asks_for_one(run):
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


def test_streams_lose_no_bytes_that_come_with_the_outcome(run):
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


class Tls:
    """A certificate authority, a server with a certificate, and a client that trusts it."""

    def __init__(self, *names: str) -> None:
        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


@pytest.fixture(scope="module")
def tls() -> Tls:
    return Tls("target.example")


@contextlib.asynccontextmanager
async def tls_server(
    context: ssl.SSLContext,
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A TLS server on loopback; its port."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def tls_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        writer.write(await reader.readexactly(5))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def test_streams_with_tls_check_the_targets_name(run, tls):
    async def scenario() -> None:
        async with tls_server(tls.server, tls_echo) as port, jumper_running() as jumper:
            reader, writer = await jumper.open_connection(f"target.example:{port}", ssl=tls.client)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()

    run(scenario)


def test_a_transport_with_tls_checks_the_targets_name(run, tls):
    async def scenario() -> None:
        async with tls_server(tls.server, tls_echo) as port, jumper_running() as jumper:
            transport, protocol = await jumper.create_connection(
                Collecting, f"target.example:{port}", ssl=tls.client
            )
            transport.write(b"hello")
            await protocol.lost
            assert protocol.received == b"hello"

    run(scenario)


def test_the_name_to_check_can_be_another(run, tls):
    async def scenario() -> None:
        async with tls_server(tls.server, tls_echo) as port, jumper_running() as jumper:
            reader, writer = await jumper.open_connection(
                f"127.0.0.1:{port}", ssl=tls.client, server_hostname="target.example"
            )
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()

    run(scenario)


def test_a_certificate_for_another_name_is_refused(run, tls):
    async def scenario() -> None:
        async with tls_server(tls.server, tls_echo) as port, jumper_running() as jumper:
            with pytest.raises(ssl.SSLCertVerificationError):
                await jumper.open_connection(f"localhost:{port}", ssl=tls.client)

    run(scenario)


# --- errors -------------------------------------------------------------------------------


def jump_server_that_says(text: bytes) -> Callable[[socket.socket], Awaitable[None]]:
    return scripted(CHALLENGE, REQUEST, b"\0\1" + bytes((len(text),)) + text)


@both_ways
@pytest.mark.parametrize(
    ("text", "kind", "builtin"),
    [
        (b"dial tcp 192.0.2.1:443: connect: connection refused", netjumper.TargetRefused,
         ConnectionRefusedError),
        (b"dial tcp 192.0.2.1:443: i/o timeout", netjumper.TargetTimeout, TimeoutError),
        (b"dial tcp 192.0.2.1:443: connect: network is unreachable",
         netjumper.NetworkUnreachable, OSError),
        (b"dial tcp 192.0.2.1:443: connect: no route to host", netjumper.HostUnreachable, OSError),
        (b"dial tcp: lookup target.example: no such host", netjumper.NameNotFound,
         socket.gaierror),
        (b"dial tcp: lookup target.example: server misbehaving", netjumper.NameLookupFailed,
         socket.gaierror),
        (b"dial tcp 192.0.2.1:443: connect: permission denied", netjumper.TargetDenied,
         PermissionError),
        (b"dial tcp: address target.example: missing port in address",
         netjumper.InvalidTarget, ValueError),
        (b"words never seen before", netjumper.TargetError, OSError),
    ],
)  # fmt: skip
async def test_what_the_jump_server_says_of_the_target_is_a_typed_error(
    attempt, text, kind, builtin
):
    async with serving(jump_server_that_says(text)) as jump:
        with pytest.raises(builtin) as caught:
            await attempt(Jumper(str(jump), SECRET), TARGET)
    assert type(caught.value) is kind
    assert isinstance(caught.value, netjumper.TargetError)
    assert str(caught.value) == text.decode()


@both_ways
async def test_a_wrong_secret(attempt):
    async with jump_server_running() as (_, address):
        with pytest.raises(PermissionError, match="check secret") as caught:
            await attempt(Jumper(str(address), "wrong"), TARGET)
    assert type(caught.value) is netjumper.WrongSecret
    assert str(caught.value).startswith(f"jump host {address}: ")


@both_ways
async def test_a_jump_host_that_is_down_is_the_error_and_the_target_is_not_dialled(attempt):
    down = closed_port()
    async with serving(echo) as target:
        with pytest.raises(ConnectionError) as caught:
            await attempt(Jumper(str(down), SECRET), target)
        assert await target.came() == 0
    assert type(caught.value) is netjumper.JumpHostUnreachable
    assert str(caught.value) == f"jump host {down}: connection refused"
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@both_ways
async def test_a_jump_host_that_does_not_answer_the_dial(attempt):
    with unanswering() as silent:
        with pytest.raises(netjumper.JumpHostUnreachable) as caught:
            await attempt(Jumper(str(silent), SECRET, connect_timeout=0.1), TARGET)
    assert str(caught.value) == f"jump host {silent}: i/o timeout"


@both_ways
async def test_a_jump_host_whose_name_does_not_exist(attempt, monkeypatch):
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("netjumper.net.resolver.socket.getaddrinfo", getaddrinfo)
    monkeypatch.setattr("netjumper.net.resolver.Resolver.__init__.__defaults__", (getaddrinfo,))
    with pytest.raises(netjumper.JumpHostUnreachable) as caught:
        await attempt(Jumper("home.example:9527", SECRET), TARGET)
    assert str(caught.value) == "jump host home.example:9527: no such host"
    assert isinstance(caught.value.__cause__, socket.gaierror)


@both_ways
@pytest.mark.parametrize("step", [0, 1, 2])
async def test_a_jump_host_that_falls_silent(attempt, step):
    script = [CHALLENGE[:5], CHALLENGE[5:], b"\0"][: step + 1]
    async with serving(scripted(*script, Step.SILENCE)) as jump:
        with pytest.raises(TimeoutError) as caught:
            await attempt(Jumper(str(jump), SECRET, connect_timeout=0.1), TARGET)
    assert type(caught.value) is netjumper.JumpHostTimeout
    assert str(caught.value) == f"jump host {jump}: it did not answer in time"


@both_ways
@pytest.mark.parametrize(
    "script",
    [
        (),
        (CHALLENGE,),
        (CHALLENGE, REQUEST),
        (CHALLENGE, REQUEST, b"\0"),
        # No earlier than this: a reset may overtake the connection itself.
        (CHALLENGE, REQUEST, Step.RESET),
        (CHALLENGE, REQUEST, b"\0", Step.RESET),
    ],
)
async def test_a_jump_host_that_stops_in_the_middle(attempt, script):
    async with serving(scripted(*script)) as jump:
        with pytest.raises(ConnectionError) as caught:
            await attempt(Jumper(str(jump), SECRET), TARGET)
    assert type(caught.value) is netjumper.JumpHostProtocolError


@both_ways
@pytest.mark.parametrize("target", ["example.org", "example.org:0", "exa mple:80", "::1:80", ""])
async def test_a_target_that_is_none_is_refused_before_anything_is_dialled(attempt, target):
    async with serving(echo) as jump:
        with pytest.raises(AddressError):
            await attempt(Jumper(str(jump), SECRET), target)
        assert await jump.came() == 0


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
@pytest.mark.parametrize("first", ["cancelled", "told"])
async def test_cancelled_in_the_turn_in_which_the_outcome_comes_it_leaves_nothing(
    monkeypatch, outcome, first
):
    """The outcome and the caller's giving up may meet in either order."""
    from netjumper.jumphost import JumpConnection

    told = JumpConnection._on_readable

    def on_readable(connection: JumpConnection) -> None:
        last = connection._handshake.authenticated
        if last and first == "cancelled":
            opening.cancel()
        told(connection)
        if last and first == "told":
            opening.cancel()

    monkeypatch.setattr(JumpConnection, "_on_readable", on_readable)
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, it: failures.append(it))
    say = asyncio.Event()
    script = scripted(CHALLENGE, REQUEST, b"\0", say, outcome, Step.SILENCE)
    async with serving(script) as jump:
        async with no_descriptor_is_left():
            opening = asyncio.create_task(Jumper(str(jump), SECRET).open_connection(str(TARGET)))
            say.set()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await asyncio.sleep(0)
    assert failures == []


# --- what it shows of itself --------------------------------------------------------------


def test_its_repr_shows_no_secret():
    assert repr(Jumper("home.example:9527", "hush")) == "<Jumper home.example:9527>"


@both_ways
async def test_its_errors_show_no_secret(attempt):
    secret = "-".join(["hush"] * 2)  # not in a line of source, which a traceback quotes
    async with jump_server_running() as (_, address):
        with pytest.raises(netjumper.WrongSecret) as caught:
            await attempt(Jumper(str(address), secret), TARGET)
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_an_empty_secret_is_refused():
    with pytest.raises(ValueError, match="the secret is empty"):
        Jumper("home.example:9527", "")


def test_a_jump_host_without_a_port_is_refused():
    with pytest.raises(AddressError, match="has no port"):
        Jumper("home.example", "hush")


async def test_a_secret_may_be_text_or_bytes():
    async with serving(echo) as target, jump_server_running() as (_, address):
        for secret in (SECRET, SECRET.decode()):
            await open_and_close(Jumper(str(address), secret), target)
