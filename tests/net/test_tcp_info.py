"""What the kernel tells of a connection."""

import socket
import sys

import pytest

from netjumper.net.tcp_info import TcpInfo, tcp_info
from tests.support.peers import eventually, receive, send, tcp_pair
from tests.support.slow_reader import stalled_pair

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


async def test_a_connection_that_was_used_has_a_round_trip_time_and_owes_nothing():
    ours, theirs = tcp_pair()
    with ours, theirs:
        await send(ours, b"hello")
        assert await receive(theirs) == b"hello"
        await eventually(lambda: tcp_info(ours).unacknowledged == 0)
        info = tcp_info(ours)
        assert 0 < info.rtt < 1
        assert info.probes == info.retransmitted == 0
        assert info.sent >= 2


def test_other_socket_than_tcp_has_no_tcp_info():
    one, other = socket.socketpair()
    with one, other:
        assert tcp_info(one) is None
    closed = socket.socket()
    closed.close()
    assert tcp_info(closed) is None


def test_short_tcp_info_of_an_old_kernel_is_ignored(monkeypatch):
    class OldKernel:
        def getsockopt(self, *_: int) -> bytes:
            return bytes(20)

    assert tcp_info(OldKernel()) is None


def test_other_systems_have_no_tcp_info(monkeypatch):
    ours, theirs = tcp_pair()
    with ours, theirs:
        monkeypatch.setattr("netjumper.net.tcp_info.sys.platform", "darwin")
        assert tcp_info(ours) is None


def test_the_fields_are_where_the_kernel_has_them():
    class Kernel:
        def getsockopt(self, level: int, name: int, size: int) -> bytes:
            numbers = [0] * 24
            numbers[4], numbers[15], numbers[23] = 7, 200_000, 3
            words = [number.to_bytes(4, sys.byteorder) for number in [*numbers, *[0] * 8, 50, 60]]
            message = bytes((1, 0, 0, 2, 0, 0, 0, 0)) + b"".join(words)
            return message.ljust(size - 4, b"\0") + (8192).to_bytes(4, sys.byteorder)

    assert tcp_info(Kernel()) == TcpInfo(
        probes=2, unacknowledged=7, rtt=0.2, retransmitted=3, sent=50, send_window=8192
    )


async def test_a_connection_that_has_sent_nothing_yet_counts_as_one_segment(monkeypatch):
    class Kernel:
        def getsockopt(self, *_: int) -> bytes:
            return bytes(8 + 34 * 4)

    assert tcp_info(Kernel()).sent == 1
    assert tcp_info(Kernel()).send_window is None  # that kernel is older than it


async def test_send_window_is_the_peers_room():
    sock, peer = stalled_pair(60_000)
    with sock, peer:
        await eventually(lambda: tcp_info(sock).send_window == 0)
        await receive(peer, 1_000_000)
        await eventually(lambda: tcp_info(sock).send_window > 0)
