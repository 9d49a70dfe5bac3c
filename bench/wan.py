"""`python -m bench.wan`: over an emulated long path, where round trips and losses are what costs.

The load generator and the near halves (bridge, ss-local, ssh) are at one end of the path; the
target and all others are at the far end. Needs root.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import netjumper_modes
from bench.competitors import DIRECT, MICROSOCKS, SHADOWSOCKS, SSH, Competitor
from bench.generator import Generator, build, target_running
from bench.harness import begin, finish, options_of, print_line, run_to_exit, shuffled
from bench.install import BUILT, install_programs
from bench.longpath import LongPath, emulated
from bench.processes import BenchError, Hosts, Processes, raise_descriptor_limit
from bench.resilience import Trial, resilience
from bench.samples import Run

OURS = tuple(netjumper_modes.chain("uvloop", mode) for mode in netjumper_modes.WAN_MODES)
PEERS = (DIRECT, MICROSOCKS, SHADOWSOCKS, SSH, *OURS)
CLIENTS = 20
PARTS = ("resilience", "first", "http", "page", "bulk")
_CONGESTION = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Args:
        rounds: how often.
        paths: for first bytes and pages.
        connections: of each cell, for the times to the first byte.
        pages: of each cell.
        downloads: of each cell; one alone shows little, as losses are random.
        bulk_seconds: of each of them.
        trial: of what no pause and no restart may break.
    """

    rounds: int
    paths: tuple[LongPath, ...]
    connections: int
    pages: int
    downloads: int
    bulk_seconds: float
    trial: Trial


_FULL_PLAN = Plan(
    rounds=2,
    paths=tuple(LongPath(rtt, loss) for rtt in (50, 200) for loss in (0, 1, 3)),
    connections=500,
    pages=24,
    downloads=3,
    bulk_seconds=15.0,
    trial=Trial(requests=10_000, restarts=5, pause=60.0),
)
_QUICK_PLAN = Plan(
    rounds=1,
    paths=(LongPath(200, 0), LongPath(200, 1)),
    connections=100,
    pages=8,
    downloads=1,
    bulk_seconds=5.0,
    trial=Trial(requests=1_000, restarts=2, pause=17.0),
)


class LongPaths:
    """The benchmark.

    Args:
        plan: how much is measured.
        run: where the figures go.
        competitors: the rows.
    """

    def __init__(self, plan: Plan, run: Run, competitors: Sequence[Competitor]) -> None:
        self._plan = plan
        self._run = run
        self._peers = competitors
        self._program = build(BUILT)
        self._logs = BUILT / "logs"

    def waits(self, number: int, path: LongPath, parts: Collection[str]) -> None:
        """Measure how long a client waits: for a first byte, or a page, through every peer.

        Args:
            number: of the round.
            path: between the two ends.
            parts: `first`, `http`, `page`.
        """
        clients = ("-c", CLIENTS, "-s", path.rtt / 1e3 * 2)  # their starts are spread
        asks = (*clients, "-n", self._plan.connections)
        modes = {
            "first": ("connect", asks, "connections"),
            "http": ("get", asks, "requests"),
            "page": ("page", ("-c", 4, "-n", self._plan.pages), "pages"),
        }

        def measure(peer: Competitor, generator: Generator, way: str) -> None:
            # Once quickly, so that the target is known and as many are parked as are wanted.
            generator.measure("connect", way, *clients, "-n", 5 * CLIENTS)
            for part in parts:
                mode, options, what = modes[part]
                found = generator.measure(mode, way, *options)
                self._failed(peer, path, what, found.errors)
                if found.samples:
                    metric = f"ms_{path.rtt}ms_{path.loss}%"
                    self._run.add(peer.name, f"{part}_p50_{metric}", number, found.p50 * 1e3)
                    self._run.add(peer.name, f"{part}_p99_{metric}", number, found.p99 * 1e3)

        self._each_peer(path, f"round {number + 1} of {self._plan.rounds}", measure)

    def bulk(self, number: int, path: LongPath) -> None:
        """Measure downloads on one connection through every peer."""
        count = self._plan.downloads

        def measure(peer: Competitor, generator: Generator, way: str) -> None:
            metric = f"bulk_mbit_s_{path.rtt}ms_{path.loss}%_{path.congestion}"
            for each in range(number * count, (number + 1) * count):
                found = generator.measure("down", way, "-t", self._plan.bulk_seconds)
                self._failed(peer, path, "downloads", found.errors)
                self._run.add(peer.name, metric, each, found.size * 8e-6 / found.seconds)

        self._each_peer(path, f"round {number + 1} of {self._plan.rounds}", measure)

    def _each_peer(
        self, path: LongPath, message: str, measure: Callable[[Competitor, Generator, str], None]
    ) -> None:
        with (
            emulated(path, self._run.problems) as hosts,
            target_running(self._program, hosts, self._logs) as generator,
        ):
            for peer in shuffled(self._peers):
                print_line(f"{message}, {path}: {peer.name}")
                try:
                    self._with_peer(peer, hosts, generator, measure)
                except BenchError as error:
                    self._problem(f"{peer.name}, {path}: {error}")

    def _with_peer(
        self,
        peer: Competitor,
        hosts: Hosts,
        generator: Generator,
        measure: Callable[[Competitor, Generator, str], None],
    ) -> None:
        with Processes(self._logs, f"wan-{peer.name}") as runner:
            measure(peer, generator, peer.start(runner, hosts))

    def _failed(self, peer: Competitor, path: LongPath, what: str, count: int) -> None:
        if count:
            self._problem(f"{peer.name}, {path}: {count} {what} failed")

    def _problem(self, text: str) -> None:
        print_line(f"  {text}")
        self._run.problems.append(text)


def bulk_paths(problems: list[str]) -> list[LongPath]:
    """Return the paths for downloads: one for each congestion control that the kernel has.

    Args:
        problems: gets a line for each that is missing.
    """
    paths = [LongPath(200, 1, 100, algorithm) for algorithm in ("cubic", "bbr")]
    available = _CONGESTION.read_text().split()
    problems += [
        f"{path} is left out: the kernel lacks it (modprobe tcp_{path.congestion})"
        for path in paths
        if path.congestion not in available
    ]
    return [path for path in paths if path.congestion in available]


def measure(plan: Plan, command: str, output: Path, parts: Collection[str] = PARTS) -> Run:
    """Measure it all; what is finished is written down as it is.

    Args:
        plan: how much is measured.
        command: the command that repeats it.
        output: where the results go.
        parts: of `PARTS`, those that are measured.

    Raises:
        BenchError: there can be no emulated path here.
    """
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        raise BenchError("an emulated path needs root and /dev/net/tun")
    run, competitors = begin("wan", command, OURS if parts == ["resilience"] else PEERS)
    raise_descriptor_limit()
    if install_programs(["ip"]):
        raise BenchError("an emulated path needs ip: apt install iproute2")
    benchmark = LongPaths(plan, run, competitors)
    if "resilience" in parts:
        resilience(plan.trial, run, build(BUILT), BUILT / "logs")
        run.save(output)
    waits = [part for part in ("first", "http", "page") if part in parts]
    bulk = bulk_paths(run.problems) if "bulk" in parts else ()
    for number in range(plan.rounds):
        for path in shuffled(plan.paths if waits else ()):
            benchmark.waits(number, path, waits)
            run.save(output)
        for path in shuffled(bulk):
            benchmark.bulk(number, path)
            run.save(output)
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the results, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.wan", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, one long path")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--pause", type=float, help="seconds without a request in the last part")
    parser.add_argument("--only", action="append", choices=PARTS, help="just this part; repeatable")
    options, command = options_of(parser, "wan", arguments)
    plan = _QUICK_PLAN if options.quick else _FULL_PLAN
    pause = plan.trial.pause if options.pause is None else options.pause
    plan = dataclasses.replace(
        plan,
        rounds=options.rounds or plan.rounds,
        trial=dataclasses.replace(plan.trial, pause=pause),
    )
    output, parts = options.output, options.only or PARTS
    return run_to_exit(lambda: finish(measure(plan, command, output, parts), output))


if __name__ == "__main__":
    sys.exit(main())
