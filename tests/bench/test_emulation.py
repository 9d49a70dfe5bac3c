"""The emulated path: delay, loss, a rate with a queue, and a stateful firewall."""

import itertools
import socket
import struct

import pytest

from bench.emulation import Direction, Firewall

SYN, ACK = 0x02, 0x10


def tcp(source: int, destination: int, flags: int = ACK, *, back: bool = False) -> bytes:
    """Return an IPv4 packet from 198.18.0.1 to 198.18.0.2, or `back`, with TCP flags."""
    ends = [socket.inet_aton("198.18.0.1"), socket.inet_aton("198.18.0.2")]
    ports = [source, destination]
    if back:
        ends.reverse()
        ports.reverse()
    header = struct.pack("!BxHxxxxBBxx4s4s", 0x45, 40, 64, socket.IPPROTO_TCP, *ends)
    return header + struct.pack("!HHIIBBHHH", *ports, 0, 0, 0x50, flags, 0, 0, 0)


def due(direction: Direction, now: float) -> list[bytes]:
    return list(direction.due(now))


def test_packet_arrives_after_the_delay() -> None:
    direction = Direction(delay=0.1)
    direction.take(b"one", 5.0)
    assert direction.wait(5.0) == pytest.approx(0.1)
    assert due(direction, 5.09) == []
    assert due(direction, 5.11) == [b"one"]
    assert direction.wait(5.11) is None
    assert direction.delivered == 1


def test_packets_keep_their_order() -> None:
    direction = Direction(delay=0.1)
    for packet in (b"one", b"two", b"three"):
        direction.take(packet, 0.0)
    assert due(direction, 1.0) == [b"one", b"two", b"three"]


def test_losses_match_the_configured_probability() -> None:
    chances = itertools.cycle([0.005, 0.5, 0.99, 0.0099])
    direction = Direction(delay=0.0, loss=1, chance=lambda: next(chances))
    for number in range(8):
        direction.take(bytes((number,)), 0.0)
    assert due(direction, 0.0) == [b"\1", b"\2", b"\5", b"\6"]
    assert direction.lost == 4


def test_rate_spaces_packets() -> None:
    direction = Direction(delay=0.0, rate=8000, queue=10_000)  # 1000 bytes a second
    direction.take(bytes(500), 0.0)
    direction.take(bytes(500), 0.0)
    assert len(due(direction, 0.4)) == 0
    assert len(due(direction, 0.5)) == 1
    assert len(due(direction, 1.0)) == 1


def test_packet_at_a_full_queue_is_dropped() -> None:
    direction = Direction(delay=0.0, rate=8000, queue=1000)
    for _ in range(4):
        direction.take(bytes(500), 0.0)
    assert direction.dropped == 1
    assert len(due(direction, 10.0)) == 3


def test_no_rate_delays_and_drops_nothing() -> None:
    direction = Direction(delay=0.0)
    for _ in range(1000):
        direction.take(bytes(1500), 0.0)
    assert len(due(direction, 0.0)) == 1000


def test_open_connection_passes_in_both_directions() -> None:
    firewall = Firewall(15.0)
    assert firewall.passes(tcp(1000, 80, SYN), 0.0)
    assert firewall.passes(tcp(1000, 80, SYN | ACK, back=True), 0.1)
    assert firewall.passes(tcp(1000, 80), 0.2)


def test_idle_connection_is_dropped_in_both_directions() -> None:
    firewall = Firewall(15.0)
    firewall.passes(tcp(1000, 80, SYN), 0.0)
    assert not firewall.passes(tcp(1000, 80), 15.1)
    assert not firewall.passes(tcp(1000, 80, back=True), 15.2)
    assert firewall.dropped == 2


def test_syn_ack_does_not_open_a_forgotten_connection() -> None:
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


def test_traffic_does_not_keep_another_connection() -> None:
    firewall = Firewall(15.0)
    firewall.passes(tcp(1000, 80, SYN), 0.0)
    firewall.passes(tcp(1001, 80, SYN), 14.0)
    assert not firewall.passes(tcp(1000, 80), 16.0)
    assert firewall.passes(tcp(1001, 80), 16.0)


@pytest.mark.parametrize("begins", [bytes((0x60,)) + bytes(39), b"\x45" + bytes(8) + b"\x11"])
def test_other_traffic_than_ipv4_tcp_passes(begins) -> None:
    assert Firewall(15.0).passes(begins + bytes(40), 0.0)
