"""How long a jump server keeps parked connections open, learned from those that it closed."""

MIN_IDLE_S, MAX_IDLE_S = 1.0, 240.0
"""Seconds: the shortest and the longest idle limit that is ever used."""
SAFETY_FACTOR = 0.8
"""The limit becomes this share of the age at which connections were lost."""
SAME_AGE_TOLERANCE = 0.25
"""Two lost connections whose ages differ by at most this share were closed by the jump server's
own idle timeout. A restart closes connections of any age."""
MIN_LOSS_SPACING_S = 1.0
"""Seconds; two losses closer together are one event, such as a restart."""
PROBE_INTERVAL_S = 600.0
"""Seconds from a failed longevity probe to the next one."""


class IdleLimit:
    """The idle limit of one jump server. Takes the time as an argument. All times are in seconds.

    Args:
        seconds: the limit that is known to be safe.
    """

    __slots__ = ("_initial", "_last_lost", "_next_probe", "seconds")

    def __init__(self, seconds: float) -> None:
        self._initial = seconds
        self._last_lost = (0.0, 0.0)
        self._next_probe = 0.0
        self.seconds = seconds
        """How long a connection can be parked."""

    def may_probe(self, now: float) -> bool:
        """Return whether a longevity probe may find a longer limit."""
        return now >= self._next_probe and self.seconds < MAX_IDLE_S

    def record_survival(self, age: float) -> None:
        """Record that a connection of this age was still alive."""
        self.seconds = min(max(self.seconds, age), MAX_IDLE_S)

    def record_loss(self, age: float, now: float) -> None:
        """Record that the jump server closed a connection of this age."""
        (last_age, when), self._last_lost = self._last_lost, (age, now)
        is_other_event = now - when >= MIN_LOSS_SPACING_S
        if is_other_event and abs(age - last_age) <= SAME_AGE_TOLERANCE * age:
            self.seconds = min(self.seconds, max(MIN_IDLE_S, SAFETY_FACTOR * age))

    def record_probe_failure(self, now: float) -> None:
        """Record that a longevity probe was closed, or is a black hole."""
        self._next_probe = now + PROBE_INTERVAL_S

    def record_blackhole(self, age: float, now: float) -> None:
        """Record that a connection of this age was dead without any notice.

        A device on the path, such as a NAT gateway, has forgotten it.
        """
        self.record_probe_failure(now)
        self.seconds = min(self.seconds, max(self._initial, SAFETY_FACTOR * age))
