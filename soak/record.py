"""The record of a soak run: its counts, expected failures and errors."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from soak.reporting import Failure
from soak.topology import Footprint

RESTART_AFTERMATH_S = 2.0
"""Time after a restart in which a failure may be caused by it."""
MAX_MORE_DESCRIPTORS = 2 * 16 + 2 * 128
"""Allowed growth of descriptors: idle pipes that are kept, and parked connections."""
MAX_MEMORY_FACTOR, MAX_MORE_BYTES = 1.25, 8 << 20
"""Allowed growth of memory after the warm-up: by this factor, and by this many bytes."""

Footprints = Mapping[str, Footprint]
"""The resources of each process, by its name."""


@dataclass(slots=True)
class Record:
    """The counts and failures of a run."""

    counts: Counter[str] = field(default_factory=Counter)
    restarts: list[tuple[float, float]] = field(default_factory=list)
    """Begin and end of each time without a jump server, in `time.monotonic` seconds."""
    expected: int = 0
    """Failures of connections that were open while the jump server was down."""
    wrong: list[str] = field(default_factory=list)

    def judge(self, failure: Failure) -> bool:
        """Count a failure as expected or as wrong; return whether it is wrong."""
        in_restart = any(
            failure.since < until + RESTART_AFTERMATH_S and began < failure.until
            for began, until in self.restarts
        )
        if in_restart and not failure.wrong:
            self.expected += 1
            return False
        self.wrong.append(failure.what + " (the server was down)" * in_restart)
        return True

    def compare(self, before: Footprints, after: Footprints) -> None:
        """Record resources that a process has not released.

        Args:
            before: after the warm-up.
            after: at the end.
        """
        for name, now in after.items():
            then = before[name]
            if now.descriptors > then.descriptors + MAX_MORE_DESCRIPTORS:
                self.wrong.append(
                    f"{name}: from {then.descriptors} to {now.descriptors} descriptors"
                )
            if now.resident > then.resident * MAX_MEMORY_FACTOR + MAX_MORE_BYTES:
                self.wrong.append(f"{name}: from {then.mebibytes:.1f} to {now.mebibytes:.1f} MiB")

    def __str__(self) -> str:
        counts = self.counts
        tunnels = sum(counts.values()) - counts["bytes"] - counts["restarts"]
        resets = counts["client_resets"] + counts["target_resets"]
        return (
            f"{tunnels} tunnels and requests, {counts['bytes'] / 1e9:.2f} GB, {resets} resets, "
            f"{counts['refused']} refused, {counts['restarts']} restarts, "
            f"{self.expected} expected failures, {len(self.wrong)} wrong"
        )


def format_line(footprints: Footprints) -> str:
    """Return the resources of each process as one line."""
    return ", ".join(f"{name} {it}" for name, it in footprints.items())


def format_table(columns: Mapping[str, Footprints]) -> str:
    """Return the resources of each process at several times, one line per process.

    Args:
        columns: the resources, by the heading of their column.
    """
    names = next(iter(columns.values()))
    rows = [["", *columns]]
    rows += [[name, *(str(footprints[name]) for footprints in columns.values())] for name in names]
    return "\n".join("".join(f"{cell:22}" for cell in row).rstrip() for row in rows)
