"""What was done, and what of it was wrong."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from soak.reporting import Failure
from soak.topology import Footprint

AFTERWARDS = 2.0
"""Seconds after a restart within which what fails may have failed because of it."""
SPARE_DESCRIPTORS = 2 * 16 + 2 * 128
"""How many more there may be at the end: idle pipes that are kept, and parked connections."""
GROWTH, SPARE_MEMORY = 1.25, 8 << 20
"""How much memory may grow once everything has been used: by this factor, and so many bytes."""

States = Mapping[str, Footprint]
"""What each process has, by its name."""


@dataclass(slots=True)
class Record:
    """What was done, and what failed."""

    counts: Counter[str] = field(default_factory=Counter)
    restarts: list[tuple[float, float]] = field(default_factory=list)
    """From when until when the server was away, in `time.monotonic` seconds."""
    ordered: int = 0
    """Failures of connections that were there when the server was not."""
    wrong: list[str] = field(default_factory=list)

    def judge(self, failure: Failure) -> bool:
        """Count a failure as ordered, or as wrong; return whether it is wrong."""
        met = any(
            failure.since < until + AFTERWARDS and began < failure.until
            for began, until in self.restarts
        )
        if met and not failure.wrong:
            self.ordered += 1
            return False
        self.wrong.append(failure.what + " (the server was down)" * met)
        return True

    def compare(self, before: States, after: States) -> None:
        """Note what a process has not let go of."""
        for name, now in after.items():
            then = before[name]
            if now.descriptors > then.descriptors + SPARE_DESCRIPTORS:
                self.wrong.append(
                    f"{name}: from {then.descriptors} to {now.descriptors} descriptors"
                )
            if now.resident > then.resident * GROWTH + SPARE_MEMORY:
                self.wrong.append(f"{name}: from {then.mebibytes:.1f} to {now.mebibytes:.1f} MiB")

    def __str__(self) -> str:
        counts = self.counts
        tunnels = sum(counts.values()) - counts["bytes"] - counts["restarts"]
        resets = counts["client_resets"] + counts["target_resets"]
        return (
            f"{tunnels} tunnels and requests, {counts['bytes'] / 1e9:.2f} GB, {resets} resets, "
            f"{counts['refused']} refused, {counts['restarts']} restarts that {self.ordered} met, "
            f"{len(self.wrong)} wrong"
        )


def message(states: States) -> str:
    """Return what each process has, in a line."""
    return ", ".join(f"{name} {it}" for name, it in states.items())


def table(columns: Mapping[str, States]) -> str:
    """Return what each process had at each of these times, a line for each process."""
    names = next(iter(columns.values()))
    rows = [["", *columns]]
    rows += [[name, *(str(states[name]) for states in columns.values())] for name in names]
    return "\n".join("".join(f"{cell:22}" for cell in row).rstrip() for row in rows)
