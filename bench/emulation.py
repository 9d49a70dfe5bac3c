"""What a long path does to packets, without sockets and clocks: delay, loss, a rate, a firewall."""

import random
from collections import deque
from collections.abc import Callable, Iterator

_TCP = 6
_SYN, _ACK = 0x02, 0x10
_MOST_HELD = 256 << 20
"""Bytes in transit in one direction; only a bound on memory."""


class Direction:
    """One way of a path: packets that are on their way, in order.

    Args:
        delay: seconds that each takes.
        loss: how many of 100 are lost, by chance.
        rate: bits per second; 0 is no limit.
        queue: bytes that can wait if there is a rate; others are dropped.
        chance: returns numbers from 0 to 1.
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
        self._longest_wait = queue * self._seconds_per_byte
        self._chance = chance
        self._free_at = 0.0
        self._on_the_way: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self.delivered = self.lost = self.dropped = 0

    def take(self, packet: bytes, now: float) -> None:
        """Take a packet in.

        Args:
            packet: with its IP header.
            now: seconds of any clock, the same for all calls.
        """
        if self._loss and self._chance() < self._loss:
            self.lost += 1
            return
        start = max(self._free_at, now)
        if start - now > self._longest_wait or self._held > _MOST_HELD:
            self.dropped += 1
            return
        self._free_at = start + len(packet) * self._seconds_per_byte
        self._held += len(packet)
        self._on_the_way.append((self._free_at + self._delay, packet))

    def due(self, now: float) -> Iterator[bytes]:
        """Yield the packets that have arrived."""
        while self._on_the_way and self._on_the_way[0][0] <= now:
            packet = self._on_the_way.popleft()[1]
            self._held -= len(packet)
            self.delivered += 1
            yield packet

    def wait(self, now: float) -> float | None:
        """Return the seconds until a packet arrives; None where none is on its way."""
        return max(0.0, self._on_the_way[0][0] - now) if self._on_the_way else None


class Firewall:
    """Lets TCP pass that belongs to a connection it saw begin, and forgets those that are idle.

    What belongs to a forgotten one is dropped without a word, as home routers and clouds do it.

    Args:
        forget: seconds without a packet after which a connection is forgotten.
    """

    def __init__(self, forget: float) -> None:
        self._forget = forget
        self._last_seen: dict[frozenset[bytes], float] = {}
        self.dropped = 0

    def passes(self, packet: bytes, now: float) -> bool:
        """Tell whether a packet passes, in either direction."""
        found = _tcp(packet)
        if found is None:
            return True
        connection, begins = found
        seen = self._last_seen.get(connection)
        if not begins and (seen is None or now - seen > self._forget):
            self._last_seen.pop(connection, None)
            self.dropped += 1
            return False
        self._last_seen[connection] = now
        return True


def _tcp(packet: bytes) -> tuple[frozenset[bytes], bool] | None:
    """Return a packet's two ends, and whether it begins a connection; None if it is not IPv4 TCP.

    RFC 791 and RFC 9293 have the headers.
    """
    if packet[0] >> 4 != 4 or packet[9] != _TCP:
        return None
    ports = (packet[0] & 15) * 4
    source = packet[12:16] + packet[ports : ports + 2]
    destination = packet[16:20] + packet[ports + 2 : ports + 4]
    begins = packet[ports + 13] & (_SYN | _ACK) == _SYN
    return frozenset((source, destination)), begins
