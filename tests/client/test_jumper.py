"""The client library: what a jumper takes, and its blocking sockets."""

import asyncio
import contextlib
import http.client
import socket
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest

import netjumper
from netjumper import Jumper
from netjumper.addressing.address import Address
from netjumper.errors import AddressError
from netjumper.net.happy_eyeballs import ATTEMPT_DELAY_S
from tests.support.jumpers import (
    REQUEST,
    TARGET,
    both_ways,
    connect,
    jumper_running,
    open_and_close,
    tls_server,
)
from tests.support.peers import (
    answer_after_end,
    echo,
    eventually,
    keepalive,
    no_descriptor_leaks,
    serving,
    unresponsive,
)
from tests.support.scripted_peer import CHALLENGE, scripted
from tests.support.services import NAMES, SECRET, jump_server_running

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux' user timeout")


@pytest.fixture
async def _no_descriptor_leaks() -> AsyncIterator[None]:
    async with no_descriptor_leaks():
        yield


@pytest.mark.usefixtures("_no_descriptor_leaks")
class TestConnect:
    async def test_connect_returns_an_ordinary_blocking_socket(self):
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

    @linux
    @pytest.mark.parametrize("opened", [connect, Jumper.open_socket])
    async def test_a_target_may_pause_an_upload_for_as_long_as_it_likes(self, opened):
        async with serving(echo) as target, jumper_running() as jumper:
            with await opened(jumper, str(target)) as sock:
                assert keepalive(sock) == (1, 15, 2)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0

    async def test_socket_has_the_requested_timeout(self):
        async with serving(echo) as target, jumper_running() as jumper:
            with await connect(jumper, target, timeout=7.5) as sock:
                assert sock.gettimeout() == 7.5

    async def test_socket_has_the_default_timeout_otherwise(self):
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

    async def test_bytes_with_the_outcome_are_not_lost(self):
        async with serving(scripted(CHALLENGE, REQUEST, b"\0\0" + b"220 ready")) as jump:
            with await connect(Jumper(str(jump), SECRET), TARGET) as sock:
                assert await asyncio.to_thread(sock.recv, 100) == b"220 ready"

    async def test_socket_works_with_ssl_and_http_client(self, authority, trusting):
        async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        def get(port: int) -> bytes:
            connection = http.client.HTTPConnection("target.example", port)
            sock = jumper.connect(f"target.example:{port}", timeout=10)
            connection.sock = trusting.wrap_socket(sock, server_hostname="target.example")
            with contextlib.closing(connection):
                connection.request("GET", "/")
                return connection.getresponse().read()

        async with tls_server(authority, web) as port, jumper_running() as jumper:
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
        with unresponsive() as silent:

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
        async with serving(echo) as target, jump_server_running() as (_, address):
            with unresponsive("127.0.0.9", address.port):

                def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
                    if host != "home.example":
                        return real(host, port, *args, **kwargs)
                    return real("127.0.0.9", port, **kwargs) + real("127.0.0.1", port, **kwargs)

                monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
                jumper = Jumper(f"home.example:{address.port}", SECRET)
                began = time.monotonic()
                (await connect(jumper, target, timeout=30.0)).close()
                assert ATTEMPT_DELAY_S <= time.monotonic() - began < 5

    async def test_a_silent_name_server_does_not_prolong_the_time(self, monkeypatch):
        asked = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked.wait() and [])
        began = time.monotonic()
        try:
            with pytest.raises(netjumper.JumpHostUnreachable) as caught:
                await connect(Jumper("home.example:9527", SECRET), TARGET, timeout=0.3)
        finally:
            asked.set()
        assert 0.3 <= time.monotonic() - began < 2
        message = "its name was not looked up in time (i/o timeout)"
        assert str(caught.value) == f"jump host home.example:9527: {message}"

    async def test_a_jump_host_whose_name_has_no_address(self, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
        with pytest.raises(netjumper.JumpHostUnreachable, match="no such host"):
            await connect(Jumper("home.example:9527", SECRET), TARGET)


@pytest.mark.parametrize("secret", [5, ["s"]])
def test_a_secret_is_text_or_bytes(secret):
    with pytest.raises(TypeError):
        Jumper("127.0.0.1:9", secret)


# --- what it shows of itself --------------------------------------------------------------


def test_repr_shows_no_secret():
    assert repr(Jumper("home.example:9527", "hush")) == "<Jumper home.example:9527>"


@both_ways
async def test_errors_show_no_secret(attempt):
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
