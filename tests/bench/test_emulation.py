"""The emulated path: delay, loss, a rate with a queue, and a firewall that forgets."""

import itertools
import socket
import struct

import pytest

from bench.emulation import Direction, Firewall

SYN, ACK = 0x02, 0x10


def tcp(source: int, destination: int, flags: int = ACK, *, back: bool = False) -> bytes:
    """Return an IPv4 packet from 198.18.0.1 to 198.18.0.2, or back, with ports and TCP flags."""
    ends = [socket.inet_aton("198.18.0.1"), socket.inet_aton("198.18.0.2")]
    ports = [source, destination]
    if back:
        ends.reverse()
        ports.reverse()
    header = struct.pack("!BxHxxxxBBxx4s4s", 0x45, 40, 64, socket.IPPROTO_TCP, *ends)
    return header + struct.pack("!HHIIBBHHH", *ports, 0, 0, 0x50, flags, 0, 0, 0)


def arrived(direction: Direction, now: float) -> list[bytes]:
    return list(direction.due(now))


def test_a_packet_arrives_after_the_delay_and_not_before() -> None:
    way = Direction(delay=0.1)
    way.take(b"one", 5.0)
    assert way.wait(5.0) == pytest.approx(0.1)
    assert arrived(way, 5.09) == []
    assert arrived(way, 5.11) == [b"one"]
    assert way.wait(5.11) is None
    assert way.delivered == 1


def test_packets_keep_their_order() -> None:
    way = Direction(delay=0.1)
    for packet in (b"one", b"two", b"three"):
        way.take(packet, 0.0)
    assert arrived(way, 1.0) == [b"one", b"two", b"three"]


def test_losses_match_the_configured_probability() -> None:
    chances = itertools.cycle([0.005, 0.5, 0.99, 0.0099])
    way = Direction(delay=0.0, loss=1, chance=lambda: next(chances))
    for number in range(8):
        way.take(bytes((number,)), 0.0)
    assert arrived(way, 0.0) == [b"\1", b"\2", b"\5", b"\6"]
    assert way.lost == 4


def test_a_rate_spaces_packets() -> None:
    way = Direction(delay=0.0, rate=8000, queue=10_000)  # 1000 bytes a second
    way.take(bytes(500), 0.0)
    way.take(bytes(500), 0.0)
    assert len(arrived(way, 0.4)) == 0
    assert len(arrived(way, 0.5)) == 1
    assert len(arrived(way, 1.0)) == 1


def test_packet_that_finds_the_queue_full_is_dropped() -> None:
    way = Direction(delay=0.0, rate=8000, queue=1000)
    for _ in range(4):
        way.take(bytes(500), 0.0)
    assert way.dropped == 1
    assert len(arrived(way, 10.0)) == 3


def test_without_a_rate_nothing_waits_and_nothing_is_dropped() -> None:
    way = Direction(delay=0.0)
    for _ in range(1000):
        way.take(bytes(1500), 0.0)
    assert len(arrived(way, 0.0)) == 1000


def test_a_connection_passes_both_ways_once_it_has_begun() -> None:
    firewall = Firewall(15.0)
    assert firewall.passes(tcp(1000, 80, SYN), 0.0)
    assert firewall.passes(tcp(1000, 80, SYN | ACK, back=True), 0.1)
    assert firewall.passes(tcp(1000, 80), 0.2)


def test_an_idle_connection_is_forgotten_and_dropped_both_ways() -> None:
    firewall = Firewall(15.0)
    firewall.passes(tcp(1000, 80, SYN), 0.0)
    assert not firewall.passes(tcp(1000, 80), 15.1)
    assert not firewall.passes(tcp(1000, 80, back=True), 15.2)
    assert firewall.dropped == 2


def test_answer_to_a_forgotten_connection_begins_nothing() -> None:
    firewall = Firewall(15.0)
    firewall.passes(tcp(1000, 80, SYN), 0.0)
    assert not firewall.passes(tcp(1000, 80, SYN | ACK, back=True), 20.0)


def test_traffic_in_either_direction_keeps_a_connection() -> None:
    firewall = Firewall(15.0)
    firewall.passes(tcp(1000, 80, SYN), 0.0)
    assert firewall.passes(tcp(1000, 80, back=True), 14.0)
    assert firewall.passes(tcp(1000, 80), 28.0)


def test_same_ports_can_connect_again() -> None:
    firewall = Firewall(15.0)
    firewall.passes(tcp(1000, 80, SYN), 0.0)
    assert firewall.passes(tcp(1000, 80, SYN), 100.0)
    assert firewall.passes(tcp(1000, 80), 100.1)


def test_one_connection_does_not_keep_another() -> None:
    firewall = Firewall(15.0)
    firewall.passes(tcp(1000, 80, SYN), 0.0)
    firewall.passes(tcp(1001, 80, SYN), 14.0)
    assert not firewall.passes(tcp(1000, 80), 16.0)
    assert firewall.passes(tcp(1001, 80), 16.0)


@pytest.mark.parametrize("begins", [bytes((0x60,)) + bytes(39), b"\x45" + bytes(8) + b"\x11"])
def test_other_traffic_than_ipv4_tcp_passes(begins) -> None:
    assert Firewall(15.0).passes(begins + bytes(40), 0.0)
