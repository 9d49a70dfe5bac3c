"""Figures, and what is made of them: medians, spreads, ratios; kept as JSON."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Args:
        peer: whose it is.
        metric: what was measured, with its unit.
        round: the turn in which it was; figures of one round were measured close together.
        value: in the metric's unit.
    """

    peer: str
    metric: str
    round: int
    value: float


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds found."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return that of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(slots=True)
class Run:
    """All that one run of a benchmark found.

    Args:
        kind: `loopback` or `wan`.
        command: the command that repeats it.
        machine: what it ran on, by name.
        versions: of each program, by name.
        peers: the rows in their order, each with its number of hops.
        ours: the names of the rows that are netjumper.
        figures: what was measured.
        problems: what could not be measured, or failed, a line each.
    """

    kind: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    competitors: dict[str, int] = field(default_factory=dict)
    ours: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, peer: str, metric: str, number: int, value: float) -> None:
        """Add a figure of the round with this number."""
        self.figures.append(Figure(peer, metric, number, value))

    def values(self, peer: str, metric: str) -> dict[int, float]:
        """Return a peer's values by their rounds."""
        return {
            figure.round: figure.value
            for figure in self.figures
            if (figure.peer, figure.metric) == (peer, metric)
        }

    def spread(self, peer: str, metric: str) -> Spread | None:
        """Return what the rounds found, or None where nothing was measured."""
        values = self.values(peer, metric)
        return Spread.of(list(values.values())) if values else None

    def ratio(self, peer: str, other: str, metric: str) -> float | None:
        """Return how many times the other's value a peer's is: the median over the rounds.

        Each round's values are compared with each other, as they were measured close together.
        None where no round has both, or the other's is 0.
        """
        theirs = self.values(other, metric)
        ratios = [
            value / theirs[number]
            for number, value in self.values(peer, metric).items()
            if theirs.get(number)
        ]
        return statistics.median(ratios) if ratios else None

    @classmethod
    def merged(cls, runs: Sequence["Run"]) -> "Run":
        """Return several runs of one kind as one; no round of one is a round of another.

        What they ran on, and when, is the first one's.
        """
        merged = cls(runs[0].kind, runs[0].command, runs[0].machine, runs[0].versions)
        first = 0
        for run in runs:
            merged.competitors |= run.competitors
            merged.ours = list(dict.fromkeys([*merged.ours, *run.ours]))
            merged.problems += run.problems
            for it in run.figures:
                merged.add(it.peer, it.metric, first + it.round, it.value)
            first = max((it.round for it in merged.figures), default=-1) + 1
        return merged

    def save(self, path: Path) -> None:
        """Write it as JSON; a reader finds the old one or the new one, never a part."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read what `save` wrote.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no such file.
        """
        text = path.read_text(encoding="utf-8")
        try:
            found: dict[str, Any] = json.loads(text)
            found["figures"] = [Figure(**figure) for figure in found["figures"]]
            return cls(**found)
        except (KeyError, TypeError, json.JSONDecodeError):
            raise ValueError(f"{path} is no result of a benchmark") from None
