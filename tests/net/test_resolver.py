"""Name look-ups that stop nobody else. No name is really looked up."""

import asyncio
import errno
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from netjumper.net import resolver as resolver_module
from netjumper.net.resolver import (
    MAX_LOOKUPS,
    RESOLUTION_DELAY_S,
    SLOW_LOOKUP_S,
    Answer,
    Resolver,
)
from tests.support.peers import eventually

V4 = socket.AF_INET


class NameServer:
    """Answers from a table, is silent about names that begin with `hang`, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()

    def getaddrinfo(self, host: str, port: int, **kwargs: Any) -> list[Any]:
        assert kwargs.keys() == {"family", "type"}
        assert kwargs["type"] == socket.SOCK_STREAM
        self.asked.append(host)
        if host.startswith("hang"):
            self.go_on.wait()
        if host.startswith("none") or kwargs["family"] == socket.AF_INET6:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host.startswith("odd"):
            raise UnicodeError("label empty or too long")
        return [(V4, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]


@pytest.fixture
def names() -> Iterator[NameServer]:
    names = NameServer()
    yield names
    names.go_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("lookup "):
            thread.join()


@pytest.fixture
async def resolver(names: NameServer) -> Resolver:
    return Resolver(asyncio.get_running_loop(), names.getaddrinfo)


def ask(
    resolver: Resolver, host: str, port: int = 443, asker: object = None
) -> "asyncio.Future[Answer]":
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    resolver.resolve(host, port, answer.set_result, asker)
    assert not answer.done(), "called before resolve() returned"
    return answer


async def test_lookup_without_a_descriptor_is_not_a_missing_name(resolver, monkeypatch):
    """The system's resolver says that of every name then."""

    class NoSocket:
        def __init__(self, *_: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(resolver_module.socket, "socket", NoSocket)
        answer = await ask(resolver, "none.example")
    assert isinstance(answer, OSError)
    assert answer.errno == errno.EMFILE


async def test_a_name_becomes_addresses(resolver):
    assert await ask(resolver, "example.org") == [(V4, ("192.0.2.1", 443))]


async def test_failed_lookup_has_the_systems_error(resolver):
    answer = await ask(resolver, "none.example")
    assert isinstance(answer, socket.gaierror)
    assert answer.errno == socket.EAI_NONAME


async def test_a_name_that_cannot_be_one_does_not_exist(resolver):
    answer = await ask(resolver, "odd.example")
    assert isinstance(answer, socket.gaierror)
    assert answer.errno == socket.EAI_NONAME


async def test_hanging_names_do_not_delay_others(resolver, names):
    hanging = [ask(resolver, f"hang{number}.example") for number in range(100)]
    assert await ask(resolver, "example.org") == [(V4, ("192.0.2.1", 443))]
    assert not any(answer.done() for answer in hanging)
    names.go_on.set()
    await asyncio.gather(*hanging)


async def test_equal_lookups_share_one(resolver, names):
    answers = [ask(resolver, "hang.example") for _ in range(10)]
    other_port = ask(resolver, "hang.example", 80)
    names.go_on.set()
    assert await asyncio.gather(*answers) == [[(V4, ("192.0.2.1", 443))]] * 10
    assert await other_port == [(V4, ("192.0.2.1", 80))]
    assert names.asked == ["hang.example"] * 2


async def test_name_server_that_never_answers_for_one_family_delays_little(names):
    def find(host: str, port: int, family: int, **_: Any) -> list[Any]:
        if family != socket.AF_INET:
            names.go_on.wait()
        return [(V4, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    loop = asyncio.get_running_loop()
    began = loop.time()
    resolver = Resolver(loop, find)
    assert await ask(resolver, "half.example") == [(V4, ("192.0.2.1", 443))]
    assert SLOW_LOOKUP_S + RESOLUTION_DELAY_S <= loop.time() - began < 1


async def test_slow_lookup_has_the_addresses_of_both_families(names):
    def find(host: str, port: int, family: int, **_: Any) -> list[Any]:
        if family == socket.AF_UNSPEC:
            names.go_on.wait()
        ip = "192.0.2.1" if family == V4 else "2001:db8::1"
        return [(family, socket.SOCK_STREAM, 6, "", (ip, port))]

    answer = await ask(Resolver(asyncio.get_running_loop(), find), "half.example")
    assert answer == [(socket.AF_INET6, ("2001:db8::1", 443)), (V4, ("192.0.2.1", 443))]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_slow_lookup_ends_with_the_error_of_both_families(names, family):
    def find(host: str, port: int, family: int, **_: Any) -> list[Any]:
        if family == socket.AF_UNSPEC:
            names.go_on.wait()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    answer = await ask(Resolver(asyncio.get_running_loop(), find), "half.example")
    assert isinstance(answer, socket.gaierror)


async def test_family_is_waited_for_if_the_other_has_no_address(names):
    asked = threading.Event()

    def find(host: str, port: int, family: int, **_: Any) -> list[Any]:
        if family == socket.AF_INET6:
            asked.set()
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if family == socket.AF_UNSPEC:
            names.go_on.wait()
        asked.wait()
        return [(V4, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    answer = await ask(Resolver(asyncio.get_running_loop(), find), "half.example")
    assert answer == [(V4, ("192.0.2.1", 443))]


async def test_answer_of_a_slow_lookup_is_kept_for_the_next(resolver, names):
    first = ask(resolver, "hang.example")
    await eventually(lambda: len(names.asked) == 3)
    names.go_on.set()
    await first
    assert await ask(resolver, "hang.example") == [(V4, ("192.0.2.1", 443))]
    assert len(names.asked) == 3


async def test_an_answer_is_not_kept(resolver, names):
    await ask(resolver, "example.org")
    await ask(resolver, "example.org")
    assert names.asked == ["example.org"] * 2


async def test_owner_has_no_more_lookups_than_are_left_for_others(resolver, names):
    hanging = [ask(resolver, f"hang{number}.example") for number in range(MAX_LOOKUPS // 2)]
    refused = await ask(resolver, "example.org")
    assert isinstance(refused, socket.gaierror)
    assert refused.errno == socket.EAI_AGAIN
    shared = ask(resolver, "hang0.example")  # that costs nothing more
    names.go_on.set()
    await asyncio.gather(*hanging, shared)
    assert await ask(resolver, "example.org") == [(V4, ("192.0.2.1", 443))]
    assert names.asked.count("example.org") == 1


async def test_300_hanging_names_of_one_owner_delay_no_other(resolver, names):
    others = range(4)
    hanging = [
        ask(resolver, f"hang{number}.of{asker}.example", asker=asker)
        for asker in others
        for number in range(300)
    ]
    assert await ask(resolver, "example.org", asker="a fifth") == [(V4, ("192.0.2.1", 443))]
    names.go_on.set()
    answers = await asyncio.gather(*hanging)
    found = [sum(isinstance(it, list) for it in answers[300 * n : 300 * n + 300]) for n in others]
    assert found == [MAX_LOOKUPS >> n + 1 for n in others]


async def test_without_a_thread_left_a_lookup_fails_and_the_next_one_works(resolver, monkeypatch):
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        refused = await ask(resolver, "example.org")
    assert isinstance(refused, socket.gaierror)
    assert refused.errno == socket.EAI_AGAIN
    assert await ask(resolver, "example.org") == [(V4, ("192.0.2.1", 443))]


async def test_failed_callback_does_not_affect_others(resolver, names):
    loop = asyncio.get_running_loop()
    failures: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail(answer: Answer) -> None:
        raise ArithmeticError

    resolver.resolve("hang.example", 443, fail)
    answer = ask(resolver, "hang.example")
    names.go_on.set()
    assert await answer == [(V4, ("192.0.2.1", 443))]
    assert [type(failure) for failure in failures] == [ArithmeticError]


def test_answer_after_the_loop_is_closed_is_dropped(names):
    loop = asyncio.new_event_loop()
    resolver = Resolver(loop, names.getaddrinfo)
    resolver.resolve("hang.example", 443, pytest.fail)
    thread = next(t for t in threading.enumerate() if t.name == "lookup hang.example")
    assert thread.daemon, "it would delay the program's end"
    loop.close()
    names.go_on.set()
    thread.join()  # an error in it would be a warning, and that fails the test


async def test_the_systems_own_resolver_is_the_default():
    answer = await ask(Resolver(asyncio.get_running_loop()), "127.0.0.1")
    assert answer == [(V4, ("127.0.0.1", 443))]


async def test_threads_end_with_their_lookup(resolver):
    await ask(resolver, "example.org")
    await eventually(lambda: not any(t.name.startswith("lookup") for t in threading.enumerate()))
