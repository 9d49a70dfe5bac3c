"""What is measured of the path to a jump host: how long things take there, and how much is lost."""

from collections import deque

MAX_SAMPLES = 128
UPDATE_EVERY = 16
"""Answers from which on there is something to say; and between two looks at all of them."""
HEDGE_FACTOR = 1.25
"""Of the usual time for an answer; then a packet was lost, most likely."""
MIN_HEDGED_LATENCY_S = 0.02
"""Seconds; where answers come sooner than this nobody is asked twice."""
INITIAL_REFILL_S = 0.6
"""Seconds that parking a connection is thought to take, until one was parked."""
SMOOTHING = 0.125
"""Weight of what was measured last, as in TCP's own smoothing (RFC 6298 section 2.3)."""
MIN_RETRANSMIT_S = 0.2
"""Seconds that Linux adds to the round trip before it sends a packet again."""


class PathStats:
    """Of one jump host; it has no clock of its own. All times are in seconds."""

    __slots__ = ("_latency", "_losses", "_round_trip", "refill_time")

    def __init__(self) -> None:
        self._latency = Latency()
        self._round_trip: float | None = None
        self._losses = 0.0
        self.refill_time = INITIAL_REFILL_S
        """That parking a connection takes."""

    def record_answer(self, seconds: float) -> None:
        """Count an outcome that came on a parked connection."""
        self._latency.record(seconds)

    def record_connection(self, round_trip: float, sent: int, retransmitted: int) -> None:
        """Count a new connection, by what the kernel has seen on it.

        Args:
            round_trip: measured on it.
            sent: packets.
            retransmitted: how many of these were sent again.
        """
        if self._round_trip is None:
            self._round_trip = round_trip
        self._round_trip += SMOOTHING * (round_trip - self._round_trip)
        self._losses += SMOOTHING * (retransmitted / sent - self._losses)

    @property
    def hedge_delay(self) -> float:
        """After this an answer is late; 0 where that is not worth knowing."""
        p95 = self._latency.p95 or self.refill_time
        return HEDGE_FACTOR * p95 if p95 >= MIN_HEDGED_LATENCY_S else 0.0

    @property
    def cold_hedge_delay(self) -> float:
        """The same for an answer on a connection that is only being made."""
        return self.hedge_delay and self.hedge_delay + HEDGE_FACTOR * self.refill_time

    @property
    def first_byte(self) -> float | None:
        """What a first byte takes there and back on average; None while that is not known."""
        round_trip = self._round_trip
        return round_trip and round_trip + self._losses * (round_trip + MIN_RETRANSMIT_S)


class Latency:
    """Of the last answers; it has no clock of its own."""

    __slots__ = ("_new_samples", "_samples", "p95")

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=MAX_SAMPLES)
        self._new_samples = 0
        self.p95: float | None = None
        """Seconds within which 95 of 100 answers came; None until enough have."""

    def record(self, seconds: float) -> None:
        """Count an answer."""
        self._samples.append(seconds)
        self._new_samples += 1
        if self._new_samples >= UPDATE_EVERY:
            self._new_samples = 0
            self.p95 = sorted(self._samples)[len(self._samples) * 95 // 100]
