"""Dialling by address and by name (RFC 8305), on loopback; names are looked up in a table."""

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.errors import (
    HostUnreachable,
    NameLookupFailed,
    NameNotFound,
    NetjumperError,
    NetworkUnreachable,
    OutOfResources,
    TargetDenied,
    TargetError,
    TargetRefused,
    TargetTimeout,
)
from netjumper.net import dialer as dial_module
from netjumper.net.connector import AllowAll, TargetFilter
from netjumper.net.dialer import ATTEMPT_DELAY_S, Dialer
from netjumper.net.endpoint import Endpoint
from netjumper.net.resolver import Resolver
from tests.support.peers import (
    black_hole,
    closed_port,
    echo,
    eventually,
    no_descriptor_leaks,
    serving,
    unresponsive,
)

LONG = 30.0
"""A timeout that no test comes to."""


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def answers(*addresses: Address) -> Callable[..., list[Any]]:
    """Return a getaddrinfo that finds these, whatever is asked."""

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (
                socket.AF_INET6 if ":" in address.host else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address.host, address.port),
            )
            for address in addresses
        ]

    return getaddrinfo


def raises(error: Exception) -> Callable[..., list[Any]]:
    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        raise error

    return getaddrinfo


class Asked:
    """A guard that notes what it was asked, and when, and forbids some."""

    def __init__(self, *forbidden: str) -> None:
        self._forbidden = forbidden
        self.targets: list[Address] = []
        self.ips: list[str] = []
        self.times: list[float] = []

    def check_target(self, target: Address) -> None:
        """Nothing is forbidden by its name."""

    def check_address(self, target: Address, ip: str) -> None:
        self.targets.append(target)
        self.ips.append(ip)
        self.times.append(asyncio.get_running_loop().time())
        if ip in self._forbidden:
            raise dial_errors.denied(str(target), "it is")


class Outcome:
    """A dial under way, and what became of it."""

    def __init__(
        self,
        target: Address,
        *,
        timeout: float = LONG,
        lookup_timeout: float = LONG,
        min_not_found_time: float = 0.0,
        find: Callable[..., list[Any]] | None = None,
        target_filter: TargetFilter | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        find = find or raises(AssertionError("no name was to be looked up"))
        self.dialer = Dialer(
            loop,
            timeout=timeout,
            lookup_timeout=lookup_timeout,
            min_not_found_time=min_not_found_time,
            resolver=Resolver(loop, find),
            target_filter=target_filter,
        )
        self.future: asyncio.Future[Endpoint] = loop.create_future()
        self.opening = self.dialer.connect(
            target, self.future.set_result, self.future.set_exception
        )
        assert not self.future.done(), "called before connect() returned"

    async def peer(self) -> Address:
        """Return where it connected to."""
        endpoint = await self.future
        with endpoint.detach() as sock:
            return Address(*sock.getpeername()[:2])

    async def error(self) -> NetjumperError:
        with pytest.raises(TargetError) as caught:
            await self.future
        assert len(self.dialer.lookups) == 0
        assert len(self.dialer.deadlines) == 0
        return caught.value


NAME = Address("target.example", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_ip_address_is_dialled_without_a_lookup(host):
    async with serving(echo, host) as peer:
        assert await Outcome(peer.address).peer() == peer.address


async def test_connection_is_reported_once_and_sends_without_delay():
    async with serving(black_hole) as peer:
        endpoint = await Outcome(peer.address).future
        with endpoint.detach() as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not sock.getblocking()
        await eventually(lambda: peer.accepted == 1)


async def test_a_name_is_dialled_at_the_addresses_it_has():
    async with serving(echo) as peer:
        assert await Outcome(NAME, find=answers(peer.address)).peer() == peer.address


async def test_the_first_address_wins_when_it_answers():
    async with serving(echo, "::1") as first, serving(echo) as second:
        find = answers(first.address, second.address)
        assert await Outcome(NAME, find=find).peer() == first.address
        assert await second.connection_count() == 0


async def test_a_silent_address_gives_way_to_the_next_one_after_the_attempt_delay():
    with unresponsive("::1") as silent:
        async with serving(echo) as second:
            asked = Asked()
            dial = Outcome(NAME, find=answers(silent, second.address), target_filter=asked)
            assert await dial.peer() == second.address
            assert asked.ips == ["::1", "127.0.0.1"]
            assert ATTEMPT_DELAY_S <= asked.times[1] - asked.times[0] < ATTEMPT_DELAY_S + 1


async def test_a_refused_address_gives_way_to_the_next_one_at_once(monkeypatch):
    monkeypatch.setattr(dial_module, "ATTEMPT_DELAY_S", LONG)
    async with serving(echo) as second:
        find = answers(closed_port("::1"), closed_port(), second.address)
        assert await Outcome(NAME, find=find).peer() == second.address


async def test_a_refusal_by_the_second_is_not_the_end_while_the_first_is_still_tried():
    with unresponsive() as silent:
        dial = Outcome(NAME, find=answers(silent, closed_port("::1")), timeout=0.6)
        error = await dial.error()
        assert isinstance(error, TargetTimeout)
        assert str(error) == f"dial tcp {silent}: i/o timeout"


async def test_error_is_the_first_addresss_if_all_refuse():
    first, second = closed_port("::1"), closed_port()
    error = await Outcome(NAME, find=answers(first, second)).error()
    assert isinstance(error, TargetRefused)
    assert isinstance(error, ConnectionRefusedError)
    assert str(error) == f"dial tcp {first}: connect: connection refused"


async def test_an_address_that_does_not_answer_times_out():
    with unresponsive() as silent:
        error = await Outcome(silent, timeout=0.05).error()
        assert isinstance(error, TargetTimeout)
        assert str(error) == f"dial tcp {silent}: i/o timeout"


async def test_lookup_has_a_timeout_of_its_own():
    go_on = threading.Event()

    def hang(host: str, port: int, **_: Any) -> list[Any]:
        go_on.wait()
        return []

    try:
        error = await Outcome(NAME, lookup_timeout=0.05, find=hang).error()
    finally:
        go_on.set()
    assert isinstance(error, TargetTimeout)
    assert str(error) == "dial tcp: lookup target.example: i/o timeout"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), NameNotFound),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), NameLookupFailed),
        (OSError(errno.EMFILE, "Too many open files"), OutOfResources),
    ],
)
async def test_failed_lookup_has_its_type(failure, kind):
    error = await Outcome(NAME, find=raises(failure)).error()
    assert type(error) is kind


async def test_a_name_without_an_address_does_not_exist():
    assert isinstance(await Outcome(NAME, find=answers()).error(), NameNotFound)


async def test_a_lookup_that_hangs_stops_no_other_dial():
    go_on = threading.Event()

    def find(host: str, port: int, **_: Any) -> list[Any]:
        if host == "hang.example":
            go_on.wait()
        return answers(found)(host, port)

    async with serving(echo) as peer:
        found = peer.address
        loop = asyncio.get_running_loop()
        dialer = Dialer(loop, timeout=LONG, resolver=Resolver(loop, find))
        ends: list[asyncio.Future[Endpoint]] = [loop.create_future() for _ in range(3)]
        for end, host in zip(ends, ["hang.example", "good.example", "127.0.0.1"], strict=True):
            target = Address(host, peer.address.port)
            dialer.connect(target, end.set_result, end.set_exception)
        for end in ends[1:]:
            (await end).close()
        assert not ends[0].done()
        go_on.set()
        (await ends[0]).close()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENETUNREACH, NetworkUnreachable),
        (errno.EHOSTUNREACH, HostUnreachable),
        (errno.EACCES, TargetDenied),
    ],
)
async def test_immediate_connect_failure_has_its_type(monkeypatch, number, kind):
    def connect(sock: socket.socket, address: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert type(await Outcome(Address("192.0.2.1", 443)).error()) is kind


async def test_dial_without_a_descriptor_reports_it(monkeypatch):
    class NoSocket(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    dial = Outcome(Address("192.0.2.1", 443))
    with monkeypatch.context() as patch:  # over before the loop is closed, which takes a socket
        patch.setattr(socket, "socket", NoSocket)
        error = await dial.error()
    assert str(error) == "dial tcp 192.0.2.1:443: socket: too many open files"


# --- cancelling ---------------------------------------------------------------------------


async def test_a_cancelled_dial_of_an_address_calls_nothing():
    async with serving(echo) as peer:
        dial = Outcome(peer.address)
        dial.opening.cancel()
        await Outcome(peer.address).peer()
        assert not dial.future.done()
        assert len(dial.dialer.deadlines) == 0


async def test_a_cancelled_dial_under_way_leaves_no_descriptor():
    with unresponsive() as silent, unresponsive("::1") as silent_too:
        asked = Asked()
        dial = Outcome(NAME, find=answers(silent, silent_too), target_filter=asked)
        await eventually(lambda: len(asked.ips) == 2)
        async with no_descriptor_leaks():
            dial.opening.cancel()
        dial.opening.cancel()
        assert not dial.future.done()


async def test_a_dial_cancelled_in_its_lookup_connects_to_nothing():
    looking, go_on = threading.Event(), threading.Event()

    def find(host: str, port: int, **_: Any) -> list[Any]:
        looking.set()
        go_on.wait()
        return answers(peer.address)(host, port)

    async with serving(echo) as peer:
        dial = Outcome(NAME, find=find)
        await asyncio.to_thread(looking.wait)
        dial.opening.cancel()
        go_on.set()
        await eventually(lambda: not dial.dialer.resolver._waiting)
        assert not dial.future.done()
        assert await peer.connection_count() == 0


async def test_a_slow_lookup_leaves_the_dial_its_whole_time():
    def find(host: str, port: int, **_: Any) -> list[Any]:
        ready.wait()
        return answers(peer.address)(host, port)

    ready = threading.Event()
    async with serving(echo) as peer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        dial = Outcome(NAME, find=find, timeout=0.1)
        await eventually(lambda: dial.future.done() or loop.time() > began + 0.2)
        ready.set()
        assert await dial.peer() == peer.address


async def test_a_hidden_name_and_one_that_does_not_exist_take_the_same_time():
    class Hiding(AllowAll):
        def check_address(self, target: Address, ip: str) -> None:
            raise dial_errors.hidden(target.host, "it is local")

    texts = set()
    for find, target_filter in ((answers(), None), (answers(NAME), Hiding())):
        began = time.monotonic()
        dial = Outcome(NAME, find=find, min_not_found_time=0.2, target_filter=target_filter)
        texts.add(str(await dial.error()))
        assert 0.199 <= time.monotonic() - began < 1  # uvloop counts in whole milliseconds
    assert texts == {str(dial_errors.name_not_found(NAME.host))}


async def test_a_dial_can_be_cancelled_before_its_name_is_reported_as_not_existing():
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.1
    dial = Outcome(NAME, find=answers(), min_not_found_time=0.1)
    await eventually(lambda: len(dial.dialer.lookups) == 0)
    dial.opening.cancel()
    await eventually(lambda: loop.time() > due + 0.05)
    assert not dial.future.done()


async def test_a_dial_that_timed_out_ignores_what_the_lookup_finds_later():
    go_on = threading.Event()

    def find(host: str, port: int, **_: Any) -> list[Any]:
        go_on.wait()
        return answers(peer.address)(host, port)

    async with serving(echo) as peer:
        dial = Outcome(NAME, find=find, lookup_timeout=0.05)
        assert isinstance(await dial.error(), TargetTimeout)
        go_on.set()
        await eventually(lambda: not dial.dialer.resolver._waiting)
        assert await peer.connection_count() == 0


# --- the guard ----------------------------------------------------------------------------


async def test_refusal_of_an_address_by_the_guard_is_the_error():
    async with serving(echo) as peer:
        asked = Asked("127.0.0.1")
        error = await Outcome(peer.address, target_filter=asked).error()
        assert isinstance(error, TargetDenied)
        assert isinstance(error, PermissionError)
        assert (asked.targets, asked.ips) == ([peer.address], ["127.0.0.1"])
        assert await peer.connection_count() == 0


async def test_guard_checks_every_address_of_a_name():
    async with serving(echo, "::1") as first, serving(echo) as second:
        asked = Asked("::1", "127.0.0.1")
        dial = Outcome(NAME, find=answers(first.address, second.address), target_filter=asked)
        assert isinstance(await dial.error(), TargetDenied)
        assert asked.targets == [NAME, NAME]
        assert asked.ips == ["::1", "127.0.0.1"]
        assert (await first.connection_count(), await second.connection_count()) == (0, 0)


async def test_a_forbidden_address_gives_way_to_a_permitted_one():
    async with serving(echo, "::1") as first, serving(echo) as second:
        find = answers(first.address, second.address)
        assert await Outcome(NAME, find=find, target_filter=Asked("::1")).peer() == second.address
        assert await first.connection_count() == 0
