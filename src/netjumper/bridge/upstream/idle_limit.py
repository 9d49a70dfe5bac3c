"""How long a jump server holds parked connections: learned from those that it ended."""

MIN_IDLE_S, MAX_IDLE_S = 1.0, 240.0
"""Seconds that a connection is parked at least, and at most."""
SAFETY_FACTOR = 0.8
"""Of the time after which connections were lost, so much is used from then on."""
SAME_AGE_TOLERANCE = 0.25
"""Two connections that were lost at ages that differ by less than this share of them were lost to
the jump server's patience; those that a restart ends are of any age."""
MIN_LOSS_SPACING_S = 1.0
"""Seconds between two losses that are not one and the same event."""
PROBE_INTERVAL_S = 600.0
"""Seconds until it is tried again whether the jump server holds them for longer."""


class IdleLimit:
    """Of one jump server; it has no clock of its own. All times are in seconds.

    Args:
        seconds: that it is known to have.
    """

    __slots__ = ("_at_first", "_last_lost", "_next_probe", "seconds")

    def __init__(self, seconds: float) -> None:
        self._at_first = seconds
        self._last_lost = (0.0, 0.0)
        self._next_probe = 0.0
        self.seconds = seconds
        """For which connections can be parked."""

    def may_probe(self, now: float) -> bool:
        """Whether it is worth knowing if connections are held for longer."""
        return now >= self._next_probe and self.seconds < MAX_IDLE_S

    def record_survival(self, age: float) -> None:
        """A connection was still alive at this age."""
        self.seconds = min(max(self.seconds, age), MAX_IDLE_S)

    def record_loss(self, age: float, now: float) -> None:
        """The jump server has ended a connection of this age."""
        (last_age, when), self._last_lost = self._last_lost, (age, now)
        if now - when >= MIN_LOSS_SPACING_S and abs(age - last_age) <= SAME_AGE_TOLERANCE * age:
            self.seconds = min(self.seconds, max(MIN_IDLE_S, SAFETY_FACTOR * age))

    def record_probe_failure(self, now: float) -> None:
        """One that waited for longer than the others was ended, or leads nowhere."""
        self._next_probe = now + PROBE_INTERVAL_S

    def record_blackhole(self, age: float, now: float) -> None:
        """A connection of this age led nowhere, and nothing told: something on the path forgets."""
        self.record_probe_failure(now)
        self.seconds = min(self.seconds, max(self._at_first, SAFETY_FACTOR * age))
