"""Effects of a long path on packets, without I/O and clocks: delay, loss, rate and a firewall."""

import random
from collections import deque
from collections.abc import Callable, Iterator

_TCP = 6
_SYN, _ACK = 0x02, 0x10
_MAX_BYTES_IN_TRANSIT = 256 << 20
"""A bound on memory, per direction."""


class Direction:
    """One direction of a path: a queue of packets in transit.

    Args:
        delay: of each packet, in seconds.
        loss: percentage of packets that are lost, at random.
        rate: bits per second; 0 is no limit.
        queue: bytes that can wait for the rate; further packets are dropped.
        chance: returns random numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        delay: float,
        loss: float = 0.0,
        rate: float = 0.0,
        queue: float = 0.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._delay = delay
        self._loss = loss / 100
        self._seconds_per_byte = 8 / rate if rate else 0.0
        self._max_wait = queue * self._seconds_per_byte
        self._chance = chance
        self._free_at = 0.0
        self._in_transit: deque[tuple[float, bytes]] = deque()
        self._bytes_in_transit = 0
        self.delivered = self.lost = self.dropped = 0

    def take(self, packet: bytes, now: float) -> None:
        """Accept a packet.

        Args:
            packet: with its IP header.
            now: current time in seconds, of the same clock in all calls.
        """
        if self._loss and self._chance() < self._loss:
            self.lost += 1
            return
        start = max(self._free_at, now)
        if start - now > self._max_wait or self._bytes_in_transit > _MAX_BYTES_IN_TRANSIT:
            self.dropped += 1
            return
        self._free_at = start + len(packet) * self._seconds_per_byte
        self._bytes_in_transit += len(packet)
        self._in_transit.append((self._free_at + self._delay, packet))

    def due(self, now: float) -> Iterator[bytes]:
        """Yield the packets that have arrived."""
        while self._in_transit and self._in_transit[0][0] <= now:
            packet = self._in_transit.popleft()[1]
            self._bytes_in_transit -= len(packet)
            self.delivered += 1
            yield packet

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next packet arrives; None if none is in transit."""
        return max(0.0, self._in_transit[0][0] - now) if self._in_transit else None


class Firewall:
    """A stateful firewall: passes TCP of connections that it saw begin, and forgets idle ones.

    Packets of forgotten connections are dropped without a reset, as home routers and clouds do.

    Args:
        forget: seconds without a packet until a connection is forgotten.
    """

    def __init__(self, forget: float) -> None:
        self._forget = forget
        self._last_seen: dict[frozenset[bytes], float] = {}
        self.dropped = 0

    def passes(self, packet: bytes, now: float) -> bool:
        """Return whether a packet of either direction passes."""
        segment = _tcp(packet)
        if segment is None:
            return True
        connection, begins = segment
        seen = self._last_seen.get(connection)
        if not begins and (seen is None or now - seen > self._forget):
            self._last_seen.pop(connection, None)
            self.dropped += 1
            return False
        self._last_seen[connection] = now
        return True


def _tcp(packet: bytes) -> tuple[frozenset[bytes], bool] | None:
    """Return a packet's two ends and whether it begins a connection; None if it is not IPv4 TCP.

    RFC 791 and RFC 9293 define the headers.
    """
    if packet[0] >> 4 != 4 or packet[9] != _TCP:
        return None
    ports = (packet[0] & 15) * 4
    source = packet[12:16] + packet[ports : ports + 2]
    destination = packet[16:20] + packet[ports + 2 : ports + 4]
    begins = packet[ports + 13] & (_SYN | _ACK) == _SYN
    return frozenset((source, destination)), begins
