"""Figures of a run with their medians, spreads and ratios, saved as JSON."""

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
        competitor: name of the row.
        metric: name of the metric, with its unit.
        round: number of the round; figures of one round were measured close together.
        value: in the unit of the metric.
    """

    competitor: str
    metric: str
    round: int
    value: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, minimum and maximum of several rounds."""

    median: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(slots=True)
class Run:
    """The results of one run of a benchmark.

    Args:
        kind: `loopback` or `wan`.
        command: the command that repeats it.
        machine: properties of the machine, by name.
        versions: of the programs, by name.
        competitors: the number of hops of each row, in the order of the rows.
        netjumper_rows: the rows that are netjumper.
        figures: the measured values.
        problems: a line for each failure or missing measurement.
    """

    kind: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    competitors: dict[str, int] = field(default_factory=dict)
    netjumper_rows: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, competitor: str, metric: str, round_number: int, value: float) -> None:
        """Add a figure."""
        self.figures.append(Figure(competitor, metric, round_number, value))

    def values(self, competitor: str, metric: str) -> dict[int, float]:
        """Return the values of a competitor by the number of their round."""
        return {
            figure.round: figure.value
            for figure in self.figures
            if (figure.competitor, figure.metric) == (competitor, metric)
        }

    def spread(self, competitor: str, metric: str) -> Spread | None:
        """Return the spread over all rounds; None if nothing was measured."""
        values = self.values(competitor, metric)
        return Spread.of(list(values.values())) if values else None

    def ratio(self, competitor: str, other: str, metric: str) -> float | None:
        """Return the ratio of the values of two competitors: the median over the rounds.

        It is computed within each round, whose values were measured close together.

        Args:
            competitor: whose value is divided.
            other: by whose value it is divided.
            metric: of both.

        Returns:
            None if no round has both values, or all divisors are 0.
        """
        divisors = self.values(other, metric)
        ratios = [
            value / divisors[number]
            for number, value in self.values(competitor, metric).items()
            if divisors.get(number)
        ]
        return statistics.median(ratios) if ratios else None

    @classmethod
    def merged(cls, runs: Sequence["Run"]) -> "Run":
        """Return several runs of one kind as one, with the rounds of all of them.

        Machine, date and versions are those of the first run.
        """
        merged = cls(runs[0].kind, runs[0].command, runs[0].machine, runs[0].versions)
        first = 0
        for run in runs:
            merged.competitors |= run.competitors
            merged.netjumper_rows = list(
                dict.fromkeys([*merged.netjumper_rows, *run.netjumper_rows])
            )
            merged.problems += run.problems
            for it in run.figures:
                merged.add(it.competitor, it.metric, first + it.round, it.value)
            first = max((it.round for it in merged.figures), default=-1) + 1
        return merged

    def save(self, path: Path) -> None:
        """Write the run as JSON, and replace an existing file atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read a file of `save`.

        Raises:
            OSError: the file cannot be read.
            ValueError: it has no results.
        """
        text = path.read_text(encoding="utf-8")
        try:
            fields: dict[str, Any] = json.loads(text)
            fields["figures"] = [Figure(**figure) for figure in fields["figures"]]
            return cls(**fields)
        except (KeyError, TypeError, json.JSONDecodeError):
            raise ValueError(f"{path} has no results of a benchmark") from None
