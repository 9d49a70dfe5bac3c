"""The client library's errors: typed, and the same from blocking sockets and streams."""

import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import netjumper
from netjumper import Jumper
from netjumper.errors import AddressError
from tests.support.jumpers import REQUEST, TARGET, both_ways
from tests.support.peers import closed_port, echo, serving, unresponsive
from tests.support.scripted_peer import CHALLENGE, Step, scripted
from tests.support.services import SECRET, jump_server_running


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
async def test_jump_servers_report_about_the_target_is_a_typed_error(attempt, text, kind, builtin):
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
        assert await target.connection_count() == 0
    assert type(caught.value) is netjumper.JumpHostUnreachable
    assert str(caught.value) == f"jump host {down}: connection refused"
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@both_ways
async def test_a_jump_host_that_does_not_answer_the_dial(attempt):
    with unresponsive() as silent:
        with pytest.raises(netjumper.JumpHostUnreachable) as caught:
            await attempt(Jumper(str(silent), SECRET, connect_timeout=0.1), TARGET)
    assert str(caught.value) == f"jump host {silent}: i/o timeout"


@both_ways
async def test_without_a_descriptor_left_the_error_blames_this_machine(attempt, monkeypatch):
    class NoSocket(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:  # over before the loop is closed, which takes a socket
        patch.setattr(socket, "socket", NoSocket)
        with pytest.raises(netjumper.JumpHostUnreachable) as caught:
            await attempt(Jumper("192.0.2.1:9527", SECRET), TARGET)
    message = "jump host 192.0.2.1:9527: too many open files on this machine"
    assert str(caught.value) == message
    assert isinstance(caught.value.__cause__, netjumper.OutOfResources)


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
async def test_invalid_target_is_refused_before_a_dial(attempt, target):
    async with serving(echo) as jump:
        with pytest.raises(AddressError):
            await attempt(Jumper(str(jump), SECRET), target)
        assert await jump.connection_count() == 0
