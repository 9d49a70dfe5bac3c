"""Dialling in the caller's thread: RFC 8305, the deadline, and the errors of each."""

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.errors import (
    NameLookupFailed,
    NameNotFound,
    NetworkUnreachable,
    OutOfResources,
    TargetRefused,
    TargetTimeout,
)
from netjumper.net import blocking_dialer
from netjumper.net.blocking_dialer import dial, resolve
from netjumper.net.happy_eyeballs import ATTEMPT_DELAY_S
from netjumper.net.socket_options import DEFAULTS, Found, SocketOptions
from tests.support.peers import address_of, closed_port, listening, open_descriptors, unresponsive

LONG_S = 30.0
"""Seconds that no test waits for."""
NAME = Address("target.example", 443)


@pytest.fixture(autouse=True)
def _no_socket_is_left() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() == before


def found(*addresses: Address) -> Found:
    return [
        (socket.AF_INET6 if ":" in it.host else socket.AF_INET, (it.host, it.port))
        for it in addresses
    ]


def connect(*addresses: Address, timeout: float = LONG_S, options: SocketOptions = DEFAULTS) -> str:
    """Dial the addresses and return which one the socket is connected to."""
    sock, sockaddr = dial(found(*addresses), options, time.monotonic() + timeout)
    with sock:
        assert sock.getpeername()[:2] == sockaddr
    return str(sockaddr[0])


def getaddrinfo_that(monkeypatch: pytest.MonkeyPatch, result: object) -> list[str]:
    """Have every look-up return or raise `result`; return the list of the names asked for."""
    asked = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


class TestDial:
    def test_the_socket_does_not_block_and_has_the_options(self):
        with listening() as listener:
            sock, _ = dial(found(address_of(listener)), DEFAULTS, time.monotonic() + LONG_S)
            with sock:
                assert not sock.getblocking()
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_the_preferred_address_wins_if_it_listens(self):
        with listening("::1") as first, listening() as second:
            assert connect(address_of(first), address_of(second)) == "::1"

    def test_the_next_address_is_tried_after_the_attempt_delay_if_the_first_is_silent(self):
        with unresponsive("::1") as silent, listening() as second:
            began = time.monotonic()
            assert connect(silent, address_of(second)) == "127.0.0.1"
            assert ATTEMPT_DELAY_S <= time.monotonic() - began < ATTEMPT_DELAY_S + 2

    def test_the_other_family_is_tried_before_the_first_ones_second_address(self):
        with unresponsive("::1") as silent, listening() as second:
            began = time.monotonic()
            assert connect(silent, silent, silent, address_of(second)) == "127.0.0.1"
            assert time.monotonic() - began < 2 * ATTEMPT_DELAY_S

    def test_the_next_address_is_tried_at_once_if_the_first_refuses(self, monkeypatch):
        monkeypatch.setattr(blocking_dialer, "ATTEMPT_DELAY_S", LONG_S)
        with listening() as last:
            addresses = [closed_port("::1"), closed_port(), address_of(last)]
            assert connect(*addresses, timeout=LONG_S / 2) == "127.0.0.1"

    def test_the_next_address_is_tried_at_once_if_the_first_is_unreachable(self, monkeypatch):
        monkeypatch.setattr(blocking_dialer, "ATTEMPT_DELAY_S", LONG_S)
        real = socket.socket.connect

        def connect_to(sock: socket.socket, sockaddr: Any) -> None:
            if sock.family == socket.AF_INET6:
                raise OSError(errno.ENETUNREACH, "Network is unreachable")
            real(sock, sockaddr)

        monkeypatch.setattr(socket.socket, "connect", connect_to)
        with listening() as last:
            assert connect(Address("2001:db8::1", 1), address_of(last), timeout=15) == "127.0.0.1"

    def test_a_silent_address_may_still_win_after_a_later_one_has_refused(self):
        with listening(backlog=0) as listener:
            address = address_of(listener)
            with socket.create_connection(listener.getsockname()) as filler:
                refusing = closed_port("::1")
                opening = threading.Timer(2 * ATTEMPT_DELAY_S, lambda: listener.accept()[0].close())
                opening.start()
                assert connect(address, refusing) == "127.0.0.1"
                opening.join()
                assert filler.recv(1) == b""

    def test_error_of_the_first_address_is_raised_if_all_refuse(self):
        first = closed_port("::1")
        with pytest.raises(TargetRefused) as caught:
            connect(first, closed_port())
        assert str(caught.value) == f"dial tcp {first}: connect: connection refused"

    @pytest.mark.parametrize("fast_open", [False, True])
    def test_a_refusal_is_an_error_also_with_fast_open(self, fast_open):
        with pytest.raises(TargetRefused):
            connect(closed_port(), options=SocketOptions(fast_open=fast_open))

    def test_a_refusal_by_the_second_is_not_the_end_while_the_first_is_tried(self):
        with unresponsive() as silent, pytest.raises(TargetTimeout) as caught:
            connect(silent, closed_port("::1"), timeout=2 * ATTEMPT_DELAY_S)
        assert str(caught.value) == f"dial tcp {silent}: i/o timeout"

    @pytest.mark.parametrize("count", [1, 4])
    def test_the_deadline_is_that_of_all_attempts_together(self, count):
        with unresponsive() as silent:
            began = time.monotonic()
            with pytest.raises(TargetTimeout):
                connect(*[silent] * count, timeout=0.4)
            assert 0.4 <= time.monotonic() - began < 2

    def test_blocking_dial_waits_without_using_the_processor(self):
        with unresponsive() as silent:
            before = time.thread_time()
            with pytest.raises(TargetTimeout):
                connect(silent, closed_port("::1"), timeout=0.6)
            assert time.thread_time() - before < 0.2

    def test_blocking_dial_without_a_descriptor_reports_it(self, monkeypatch):
        class NoSocket(socket.socket):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(socket, "socket", NoSocket)
        with pytest.raises(OutOfResources, match="socket: too many open files"):
            connect(Address("192.0.2.1", 443))

    def test_a_network_without_a_route_is_an_error(self, monkeypatch):
        def unreachable(*_: object) -> None:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

        monkeypatch.setattr(socket.socket, "connect", unreachable)
        with pytest.raises(NetworkUnreachable):
            connect(Address("192.0.2.1", 443))

    @pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no such signal")
    def test_an_interrupted_dial_closes_its_sockets(self):
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGUSR1, interrupt)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        try:
            with unresponsive() as silent:
                timer.start()
                with pytest.raises(KeyboardInterrupt):
                    connect(silent)
        finally:
            timer.join()
            signal.signal(signal.SIGUSR1, before)


class TestResolve:
    @pytest.mark.parametrize(
        ("host", "family"), [("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6)]
    )
    def test_an_ip_address_is_not_looked_up(self, monkeypatch, host, family):
        asked = getaddrinfo_that(monkeypatch, AssertionError())
        assert resolve(Address(host, 443), time.monotonic()) == [(family, (host, 443))]
        assert asked == []

    def test_a_name_has_the_addresses_that_the_system_finds(self, monkeypatch):
        entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))
        asked = getaddrinfo_that(monkeypatch, [entry])
        assert resolve(NAME, time.monotonic() + LONG_S) == [(entry[0], entry[4])]
        assert asked == ["target.example"]

    def test_name_server_that_never_answers_for_one_family_delays_little(self, monkeypatch):
        go_on = threading.Event()

        def find(host: str, port: int, family: int, **_: object) -> list[object]:
            if family != socket.AF_INET:
                go_on.wait()
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", find)
        began = time.monotonic()
        try:
            found = resolve(NAME, began + LONG_S)
        finally:
            go_on.set()
        assert found == [(socket.AF_INET, ("192.0.2.1", 443))]
        assert time.monotonic() - began < 1

    def test_a_silent_name_server_is_waited_for_until_the_deadline(self, monkeypatch):
        go_on = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go_on.wait() and [])
        began = time.monotonic()
        try:
            with pytest.raises(TargetTimeout, match="i/o timeout"):
                resolve(NAME, began + 0.3)
            assert 0.3 <= time.monotonic() - began < 2
            (thread,) = (it for it in threading.enumerate() if it.name == "lookup target.example")
            assert thread.daemon, "it would delay the program's end"
        finally:
            go_on.set()
        thread.join()

    @pytest.mark.parametrize(
        ("result", "kind"),
        [
            (socket.gaierror(socket.EAI_NONAME, "unknown"), NameNotFound),
            (socket.gaierror(socket.EAI_AGAIN, "try again"), NameLookupFailed),
            (UnicodeError("label too long"), NameNotFound),
            (OSError(errno.EMFILE, "Too many open files"), OutOfResources),
            ([], NameNotFound),
        ],
    )
    def test_a_failed_look_up_is_an_error_of_its_kind(self, monkeypatch, result, kind):
        getaddrinfo_that(monkeypatch, result)
        with pytest.raises(kind):
            resolve(NAME, time.monotonic() + LONG_S)

    def test_without_a_thread_the_look_up_fails(self, monkeypatch):
        def start(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", start)
        with pytest.raises(NameLookupFailed):
            resolve(NAME, time.monotonic() + LONG_S)
