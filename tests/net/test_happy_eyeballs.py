"""The order and the errors of connection attempts (RFC 8305)."""

import errno
import socket

import pytest

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.errors import TargetDenied, TargetRefused
from netjumper.net.happy_eyeballs import MAX_ATTEMPTS, ConnectionAttempts, interleaved
from netjumper.net.socket_options import SockAddr

NAME = Address("target.example", 1)
V4, V6 = socket.AF_INET, socket.AF_INET6
SIX = [(V6, (f"2001:db8::{n}", 1)) for n in range(3)]
FOUR = [(V4, (f"192.0.2.{n}", 1)) for n in range(2)]


def test_families_alternate_beginning_with_the_preferred_one():
    assert interleaved(SIX + FOUR) == [SIX[0], FOUR[0], SIX[1], FOUR[1], SIX[2]]
    assert interleaved(FOUR + SIX) == [FOUR[0], SIX[0], FOUR[1], SIX[1], SIX[2]]
    assert interleaved(SIX) == SIX


def test_an_address_that_fails_at_once_gives_way_to_the_next():
    started = []

    def start(family: socket.AddressFamily, sockaddr: SockAddr) -> socket.socket:
        started.append((family, sockaddr))
        if len(started) < 3:
            raise OSError("no")
        return socket.socket()

    attempts = ConnectionAttempts(SIX)
    sock = attempts.start_next(start)
    assert sock is not None
    with sock:
        assert started == SIX
        assert attempts.under_way == [sock.fileno()]
        assert not attempts.has_untried
        assert attempts.failure is None


@pytest.mark.parametrize(
    ("errors", "kind", "text"),
    [
        (
            [ConnectionRefusedError(errno.ECONNREFUSED, "no"), PermissionError(errno.EACCES, "no")],
            TargetRefused,
            "dial tcp [2001:db8::0]:1: connect: connection refused",
        ),
        (
            [dial_errors.denied(str(NAME), "by a rule"), dial_errors.name_not_found(NAME.host)],
            TargetDenied,
            "dial tcp target.example:1: by a rule, not permitted",
        ),
        (
            [
                dial_errors.denied(str(NAME), "by a rule"),
                ConnectionRefusedError(errno.ECONNREFUSED, ""),
            ],
            TargetRefused,
            "dial tcp [2001:db8::1]:1: connect: connection refused",
        ),
    ],
)
def test_the_failure_of_the_preferred_address_is_the_dials(errors, kind, text):
    remaining = list(errors)

    def start(*_: object) -> socket.socket:
        raise remaining.pop(0)

    attempts = ConnectionAttempts(SIX[:2])
    assert attempts.failure is None
    assert attempts.start_next(start) is None
    assert remaining == []
    assert type(attempts.failure) is kind
    assert str(attempts.failure) == text


def test_a_dial_whose_time_is_over_names_the_preferred_address():
    assert (
        str(ConnectionAttempts(SIX + FOUR).timed_out()) == "dial tcp [2001:db8::0]:1: i/o timeout"
    )


def test_only_some_of_many_addresses_are_dialled():
    many = [(V4, (f"192.0.2.{n}", 1)) for n in range(59)]
    attempts = ConnectionAttempts(many)
    socks = []
    while sock := attempts.start_next(lambda *_: socket.socket()):
        socks.append(sock)
    assert len(socks) == MAX_ATTEMPTS
    assert not attempts.has_untried
    attempts.close()
