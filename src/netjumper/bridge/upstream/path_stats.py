"""Measurements of the path to a jump host: its latency and its packet loss."""

from collections import deque

MAX_SAMPLES = 128
"""Answer times that the percentile is computed from."""
UPDATE_EVERY = 16
"""Answers before the first percentile, and between two computations of it."""
HEDGE_FACTOR = 1.25
"""An answer is late after this multiple of the usual time: then a packet was lost, most likely."""
MIN_HEDGED_LATENCY_S = 0.02
"""Seconds; no request is hedged if answers usually come sooner."""
INITIAL_REFILL_S = 0.6
"""Seconds that parking a connection is assumed to take, until one was parked."""
SMOOTHING = 0.125
"""Weight of the latest sample, as in TCP's own smoothing (RFC 6298 section 2.3)."""
MIN_RETRANSMIT_S = 0.2
"""Seconds that Linux adds to the round trip before it sends a packet again."""


class PathStats:
    """Statistics of the path to one jump host. All times are in seconds."""

    __slots__ = ("_latency", "_losses", "_round_trip", "refill_time")

    def __init__(self) -> None:
        self._latency = Latency()
        self._round_trip: float | None = None
        self._losses = 0.0
        self.refill_time = INITIAL_REFILL_S
        """How long it takes to park a connection."""

    def record_answer(self, seconds: float) -> None:
        """Record how long an outcome took on a parked connection."""
        self._latency.record(seconds)

    def record_connection(self, round_trip: float, sent: int, retransmitted: int) -> None:
        """Record a new connection, by what the kernel has measured on it.

        Args:
            round_trip: seconds.
            sent: packets.
            retransmitted: packets that were sent again.
        """
        if self._round_trip is None:
            self._round_trip = round_trip
        self._round_trip += SMOOTHING * (round_trip - self._round_trip)
        self._losses += SMOOTHING * (retransmitted / sent - self._losses)

    @property
    def hedge_delay(self) -> float:
        """Seconds after which an answer is late; 0 on a path too short for hedging."""
        p95 = self._latency.p95 or self.refill_time
        return HEDGE_FACTOR * p95 if p95 >= MIN_HEDGED_LATENCY_S else 0.0

    @property
    def cold_hedge_delay(self) -> float:
        """Seconds after which an answer is late on a connection that is dialled first."""
        return self.hedge_delay and self.hedge_delay + HEDGE_FACTOR * self.refill_time

    @property
    def first_byte(self) -> float | None:
        """Mean seconds that a byte and its answer take, losses included; None if unknown."""
        round_trip = self._round_trip
        return round_trip and round_trip + self._losses * (round_trip + MIN_RETRANSMIT_S)


class Latency:
    """The distribution of the latest answer times."""

    __slots__ = ("_new_samples", "_samples", "p95")

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=MAX_SAMPLES)
        self._new_samples = 0
        self.p95: float | None = None
        """Seconds within which 95 of 100 answers came; None until there are enough samples."""

    def record(self, seconds: float) -> None:
        """Record the time that one answer took."""
        self._samples.append(seconds)
        self._new_samples += 1
        if self._new_samples >= UPDATE_EVERY:
            self._new_samples = 0
            self.p95 = sorted(self._samples)[len(self._samples) * 95 // 100]
