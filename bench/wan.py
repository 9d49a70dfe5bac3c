"""`python -m bench.wan`: measure over an emulated long path, with round trips and losses.

The load generator, bridge, ss-local and ssh are at the near end of the path; the target and all
other programs are at the far end. It needs root.
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

NETJUMPER_MODES = tuple(netjumper_modes.chain("uvloop", mode) for mode in netjumper_modes.WAN_MODES)
COMPETITORS = (DIRECT, MICROSOCKS, SHADOWSOCKS, SSH, *NETJUMPER_MODES)
CLIENTS = 20
PARTS = ("resilience", "first", "http", "page", "bulk")
_CONGESTION = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


@dataclass(frozen=True, slots=True)
class Plan:
    """The extent of a run.

    Args:
        rounds: number of rounds.
        paths: for first bytes and pages.
        connections: of each cell with times to the first byte.
        pages: of each cell.
        downloads: of each cell; several, because losses are random.
        bulk_seconds: duration of each download.
        trial: extent of the test of restarts and pauses.
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
        plan: the extent of the run.
        run: gets the figures.
        competitors: the rows.
    """

    def __init__(self, plan: Plan, run: Run, competitors: Sequence[Competitor]) -> None:
        self._plan = plan
        self._run = run
        self._competitors = competitors
        self._program = build(BUILT)
        self._logs = BUILT / "logs"

    def waits(self, number: int, path: LongPath, parts: Collection[str]) -> None:
        """Measure the times to first bytes and pages through all competitors.

        Args:
            number: of the round.
            path: between the two ends.
            parts: of `first`, `http` and `page`.
        """
        clients = ("-c", CLIENTS, "-s", path.rtt / 1e3 * 2)  # spread their starts
        first_byte_options = (*clients, "-n", self._plan.connections)
        modes = {
            "first": ("connect", first_byte_options, "connections"),
            "http": ("get", first_byte_options, "requests"),
            "page": ("page", ("-c", 4, "-n", self._plan.pages), "pages"),
        }

        def measure(competitor: Competitor, generator: Generator, route: str) -> None:
            # Warm up, so that the target is known and the pool has its full size.
            generator.measure("connect", route, *clients, "-n", 5 * CLIENTS)
            for part in parts:
                mode, options, what = modes[part]
                result = generator.measure(mode, route, *options)
                self._failed(competitor, path, what, result.errors)
                if result.samples:
                    metric = f"ms_{path.rtt}ms_{path.loss}%"
                    self._run.add(competitor.name, f"{part}_p50_{metric}", number, result.p50 * 1e3)
                    self._run.add(competitor.name, f"{part}_p99_{metric}", number, result.p99 * 1e3)

        self._each_competitor(path, f"round {number + 1} of {self._plan.rounds}", measure)

    def bulk(self, number: int, path: LongPath) -> None:
        """Measure downloads on one connection through all competitors."""
        count = self._plan.downloads

        def measure(competitor: Competitor, generator: Generator, route: str) -> None:
            metric = f"bulk_mbit_s_{path.rtt}ms_{path.loss}%_{path.congestion}"
            for each in range(number * count, (number + 1) * count):
                result = generator.measure("down", route, "-t", self._plan.bulk_seconds)
                self._failed(competitor, path, "downloads", result.errors)
                self._run.add(competitor.name, metric, each, result.size * 8e-6 / result.seconds)

        self._each_competitor(path, f"round {number + 1} of {self._plan.rounds}", measure)

    def _each_competitor(
        self, path: LongPath, message: str, measure: Callable[[Competitor, Generator, str], None]
    ) -> None:
        with (
            emulated(path, self._run.problems) as hosts,
            target_running(self._program, hosts, self._logs) as generator,
        ):
            for competitor in shuffled(self._competitors):
                print_line(f"{message}, {path}: {competitor.name}")
                try:
                    self._with_competitor(competitor, hosts, generator, measure)
                except BenchError as error:
                    self._problem(f"{competitor.name}, {path}: {error}")

    def _with_competitor(
        self,
        competitor: Competitor,
        hosts: Hosts,
        generator: Generator,
        measure: Callable[[Competitor, Generator, str], None],
    ) -> None:
        with Processes(self._logs, f"wan-{competitor.name}") as processes:
            measure(competitor, generator, competitor.start(processes, hosts))

    def _failed(self, competitor: Competitor, path: LongPath, what: str, count: int) -> None:
        if count:
            self._problem(f"{competitor.name}, {path}: {count} {what} failed")

    def _problem(self, text: str) -> None:
        print_line(f"  {text}")
        self._run.problems.append(text)


def bulk_paths(problems: list[str]) -> list[LongPath]:
    """Return the paths for downloads, one for each available congestion control.

    Args:
        problems: gets a line for each missing one.
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
    """Measure everything, and save the results after each path.

    Args:
        plan: the extent of the run.
        command: the command that repeats it.
        output: the file for the results.
        parts: to measure, of `PARTS`.

    Raises:
        BenchError: this machine cannot emulate a path.
    """
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        raise BenchError("an emulated path needs root and /dev/net/tun")
    run, competitors = begin(
        "wan", command, NETJUMPER_MODES if parts == ["resilience"] else COMPETITORS
    )
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
    """Measure, save the results, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.wan", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, one long path")
    parser.add_argument("--rounds", type=int, help="number of rounds")
    parser.add_argument(
        "--pause", type=float, help="seconds without requests in the part resilience"
    )
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="measure only this part; repeatable"
    )
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
