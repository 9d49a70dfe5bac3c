"""The goals, as ratios within one run, and what a run shows about them."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.samples import Run
from bench.summary import number

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
        what: what is measured.
        metric: the name of it.
        limit: what we want to reach.
        peer: whose it is.
        other: whose the limit is a multiple of; empty where it is an absolute one.
        unit: of an absolute one.
        scale: divides the value to convert it into that unit.
        at_most: whether less is better.
        kind: of the run that has it.
    """

    what: str
    metric: str
    limit: float
    peer: str
    other: str = ""
    unit: str = ""
    scale: float = 1.0
    at_most: bool = False
    kind: str = "loopback"

    def value(self, runs: Mapping[str, Run]) -> float | None:
        """Return the result of the runs in the goal's unit; None if it was not measured."""
        run = runs.get(self.kind)
        if run is None:
            return None
        if self.other:
            return run.ratio(self.peer, self.other, self.metric)
        spread = run.spread(self.peer, self.metric)
        return spread.median / self.scale if spread else None

    def is_reached(self, value: float) -> bool:
        """Tell whether a value is as good as we want."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {round(self.limit, 3):,g}{self._unit()}"

    def message(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{number(value)}{self._unit()}"

    def _unit(self) -> str:
        return f" x {self.other}" if self.other else f" {self.unit}".rstrip()


def _wan(what: str, metric: str, limit: float, peer: str, *, other: str = "") -> Goal:
    if other:
        return Goal(what, metric, limit, peer, other, kind="wan")
    return Goal(what, metric, limit, peer, unit="R", scale=200, at_most=True, kind="wan")


def _memory(what: str, peer: str) -> Goal:
    return Goal(what, "idle_kb_largest", 3, peer, unit="kB", at_most=True)


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
    _memory("one hop, memory of an idle tunnel, process with most", _ONE_HOP),
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
    _wan("the same, bytes that may not be repeated", "first_p99_ms_200ms_1%", 3, _EARLY),
    # Both ends choose bbr by themselves, so they gain where the system's is cubic.
    _wan(
        "bulk, 200 ms, 100 Mbit/s, 1 % loss, the system's cubic",
        f"{_BULK}cubic",
        40,
        _PARKED,
        other="direct",
    ),
    _wan("the same, the system's bbr", f"{_BULK}bbr", 0.9, _PARKED, other="direct"),
    # A shortened trial reaches the last of these easily, and misses the others.
    _trial(
        "requests around restarts and pauses, behind a firewall that forgets", "requests", 10000
    ),
    _trial("the same, restarts", "restarts", 5),
    _trial("the same, seconds of a pause", "pause_s", 60),
    _trial("the same, requests that failed", "failed", 0, at_most=True),
)


def goals_table(runs: Mapping[str, Run]) -> str:
    """Return the goals beside what was measured, as a table in Markdown.

    Args:
        runs: by their kinds.
    """
    lines = ["| | goal | measured | |", "|---|---|---|---|"]
    for goal in GOALS:
        value = goal.value(runs)
        if value is None:
            lines.append(f"| {goal.what} | {goal} | not measured | |")
        else:
            verdict = "reached" if goal.is_reached(value) else "**missed**"
            lines.append(f"| {goal.what} | {goal} | {goal.message(value)} | {verdict} |")
    return "\n".join(lines) + "\n"
