"""The goals, mostly ratios within one run, and whether a run reaches them."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.samples import Run
from bench.summary import format_number

_ONE_HOP = "netjumper"
_CHAIN = "bridge + netjumper (uvloop)"
_SHADOWSOCKS = "ss-local + ss-server"
_COLD = "bridge + netjumper (uvloop, cold, early data)"
_PARKED = "bridge + netjumper (uvloop, parked)"
_EARLY = "bridge + netjumper (uvloop, parked, early data)"
_BULK = "bulk_mbit_s_200ms_1%_"


@dataclass(frozen=True, slots=True)
class Goal:
    """One row of the table.

    Args:
        what: description of the measured quantity.
        metric: its name in the results.
        limit: to reach.
        competitor: the row that must reach it.
        other: the row whose value is multiplied by the limit; empty if the limit is absolute.
        unit: of an absolute limit.
        scale: divides the value to convert it into that unit.
        at_most: whether the limit is a maximum.
        kind: of the run with the metric.
    """

    what: str
    metric: str
    limit: float
    competitor: str
    other: str = ""
    unit: str = ""
    scale: float = 1.0
    at_most: bool = False
    kind: str = "loopback"

    def value(self, runs: Mapping[str, Run]) -> float | None:
        """Return the measured value in the unit of the goal; None if it was not measured.

        Args:
            runs: by kind.
        """
        run = runs.get(self.kind)
        if run is None:
            return None
        if self.other:
            return run.ratio(self.competitor, self.other, self.metric)
        spread = run.spread(self.competitor, self.metric)
        return spread.median / self.scale if spread else None

    def is_reached(self, value: float) -> bool:
        """Return whether a value reaches the goal."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {round(self.limit, 3):,g}{self._unit()}"

    def describe(self, value: float) -> str:
        """Return a value with the unit of the goal."""
        return f"{format_number(value)}{self._unit()}"

    def _unit(self) -> str:
        return f" x {self.other}" if self.other else f" {self.unit}".rstrip()


def _wan(what: str, metric: str, limit: float, competitor: str, *, other: str = "") -> Goal:
    if other:
        return Goal(what, metric, limit, competitor, other, kind="wan")
    return Goal(what, metric, limit, competitor, unit="R", scale=200, at_most=True, kind="wan")


def _memory(what: str, competitor: str) -> Goal:
    return Goal(what, "idle_kb_largest", 3, competitor, unit="kB", at_most=True)


def _trial(what: str, metric: str, limit: float, *, at_most: bool = False) -> Goal:
    return Goal(what, f"resilience_{metric}", limit, _CHAIN, at_most=at_most, kind="wan")


GOALS = (
    Goal("one hop, bulk on 1 connection", "down_1_gbit_s", 4, _ONE_HOP, "microsocks"),
    Goal("the same", "down_1_gbit_s", 0.55, _ONE_HOP, "direct"),
    Goal(
        "the same, processor time for a byte",
        "down_1_cpu_s_per_gb",
        1 / 7,
        _ONE_HOP,
        "microsocks",
        at_most=True,
    ),
    Goal("chain, bulk on 1 connection, uvloop", "down_1_gbit_s", 7, _CHAIN, _SHADOWSOCKS),
    Goal("the same", "down_1_gbit_s", 2.5, _CHAIN, "ssh -D"),
    Goal("one hop, new connections, plain asyncio", "connect_per_s", 0.9, _ONE_HOP, "microsocks"),
    Goal("chain, new connections, uvloop", "connect_per_s", 0.85, _CHAIN, _SHADOWSOCKS),
    Goal(
        "the same, processor time for a connection",
        "connect_cpu_us",
        1.3,
        _CHAIN,
        _SHADOWSOCKS,
        at_most=True,
    ),
    Goal(
        "chain, ping-pong, p50, uvloop",
        "pingpong_1_p50_us",
        1.1,
        _CHAIN,
        _SHADOWSOCKS,
        at_most=True,
    ),
    _memory("one hop, memory of an idle tunnel, largest process", _ONE_HOP),
    _memory("chain, the same", "bridge + netjumper"),
    _memory("chain, uvloop, the same", _CHAIN),
    Goal("one hop, idle tunnels held by one process", "many_held", 8000, _ONE_HOP, unit="tunnels"),
    _wan(
        "first byte, 200 ms, p50, nothing parked, early data", "first_p50_ms_200ms_0%", 3.1, _COLD
    ),
    _wan("first byte, 200 ms, p50, parked", "first_p50_ms_200ms_0%", 2.1, _PARKED),
    _wan("first byte, 200 ms, p50, parked, early data", "first_p50_ms_200ms_0%", 1.1, _EARLY),
    _wan(
        "first byte, HTTP request, 200 ms, 1 % loss, p99, parked, early data",
        "http_p99_ms_200ms_1%",
        3,
        _EARLY,
    ),
    _wan("the same, bytes that must not be repeated", "first_p99_ms_200ms_1%", 3, _EARLY),
    # Both ends choose bbr by themselves, so they gain where the system's is cubic.
    _wan(
        "bulk, 200 ms, 100 Mbit/s, 1 % loss, the system's cubic",
        f"{_BULK}cubic",
        40,
        _PARKED,
        other="direct",
    ),
    _wan("the same, the system's bbr", f"{_BULK}bbr", 0.9, _PARKED, other="direct"),
    # A shortened trial cannot reach the first three of these.
    _trial(
        "requests around restarts and pauses, behind a firewall that forgets", "requests", 10000
    ),
    _trial("the same, restarts", "restarts", 5),
    _trial("the same, seconds of a pause", "pause_s", 60),
    _trial("the same, requests that failed", "failed", 0, at_most=True),
)


def goals_table(runs: Mapping[str, Run]) -> str:
    """Return the goals and the measured values, as a table in Markdown.

    Args:
        runs: by kind.
    """
    lines = ["| | goal | measured | |", "|---|---|---|---|"]
    for goal in GOALS:
        value = goal.value(runs)
        if value is None:
            lines.append(f"| {goal.what} | {goal} | not measured | |")
        else:
            verdict = "reached" if goal.is_reached(value) else "**missed**"
            lines.append(f"| {goal.what} | {goal} | {goal.describe(value)} | {verdict} |")
    return "\n".join(lines) + "\n"
