"""`python -m bench.loopback`: measure on loopback, where only the proxies themselves cost time.

Each round measures the competitors, and the cells of each, in random order: other activity of the
machine then affects all of them.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import netjumper_modes
from bench.accounting import processor_seconds
from bench.competitors import DIRECT, MICROSOCKS, OTHERS, SHADOWSOCKS, SSH, Competitor
from bench.generator import Generator, Measurement, build, target_running
from bench.harness import begin, finish, options_of, print_line, run_to_exit, shuffled
from bench.install import BUILT
from bench.processes import BenchError, Hosts, Processes, raise_descriptor_limit
from bench.samples import Run

NETJUMPER_MODES = (
    netjumper_modes.one_hop("asyncio"),
    netjumper_modes.one_hop("uvloop"),
    *(
        netjumper_modes.chain(loop, mode)
        for mode in netjumper_modes.LOOPBACK_MODES
        for loop in ("asyncio", "uvloop")
    ),
)
QUICK = (DIRECT, MICROSOCKS, SHADOWSOCKS, SSH, *NETJUMPER_MODES[:4])


@dataclass(frozen=True, slots=True)
class Plan:
    """The extent of a run.

    Args:
        competitors: the rows.
        rounds: number of rounds.
        seconds: duration of each cell.
        idle: idle tunnels per competitor.
        idle_rounds: number of rounds with idle tunnels.
        many: idle tunnels for one process of netjumper; 0 to skip this.
    """

    competitors: tuple[Competitor, ...]
    rounds: int
    seconds: float
    idle: int
    idle_rounds: int
    many: int


FULL_PLAN = Plan(
    (*OTHERS, *NETJUMPER_MODES), rounds=5, seconds=2.0, idle=5000, idle_rounds=2, many=8000
)
QUICK_PLAN = Plan(QUICK, rounds=1, seconds=0.8, idle=2000, idle_rounds=1, many=0)


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement of a competitor.

    Args:
        name: prefix of the names of its metrics.
        mode: of the load generator.
        clients: simultaneous connections.
    """

    name: str
    mode: str
    clients: int

    def metrics(self, result: Measurement, processor: float) -> dict[str, float]:
        """Return the values of a result by the names of their metrics.

        Args:
            result: of the load generator.
            processor: processor time of the competitor, in seconds.
        """
        if self.mode == "connect":
            return {
                "connect_per_s": result.samples / result.seconds,
                "connect_cpu_us": processor / result.samples * 1e6,
            }
        if self.mode == "pingpong":
            return {
                f"{self.name}_p50_us": result.p50 * 1e6,
                f"{self.name}_p99_us": result.p99 * 1e6,
            }
        gigabytes = result.size / 1e9
        return {
            f"{self.name}_gbit_s": gigabytes * 8 / result.seconds,
            f"{self.name}_cpu_s_per_gb": processor / gigabytes,
        }


CELLS = (
    Cell("connect", "connect", 16),
    Cell("pingpong_1", "pingpong", 1),
    Cell("pingpong_50", "pingpong", 50),
    *(Cell(f"{mode}_{clients}", mode, clients) for mode in ("down", "up") for clients in (1, 8)),
)


Measure = Callable[[Competitor, int, Processes, str], None]
"""Takes a competitor, the number of the round, its processes and the route through them."""


class Loopback:
    """The benchmark.

    Args:
        plan: the extent of the run.
        run: gets the figures.
        generator: sends the load.
        logs: the folder for the output of programs.
    """

    def __init__(self, plan: Plan, run: Run, generator: Generator, logs: Path) -> None:
        self._plan = plan
        self._run = run
        self._generator = generator
        self._logs = logs

    def round(self, number: int) -> None:
        """Measure all cells of all competitors once."""
        for competitor in shuffled(self._plan.competitors):
            print_line(f"round {number + 1} of {self._plan.rounds}: {competitor.name}")
            self._with_competitor(competitor, self._cells, number)

    def idle_round(self, number: int) -> None:
        """Measure idle tunnels of all competitors for which this is planned."""
        for competitor in shuffled(self._plan.competitors):
            if competitor.idles:
                print_line(f"{self._plan.idle} idle tunnels: {competitor.name}")
                self._with_competitor(competitor, self._idle, number)

    def many(self) -> None:
        """Open as many idle tunnels as planned through one process of netjumper."""
        for competitor in self._plan.competitors:
            if competitor.is_netjumper and competitor.hops == 1:
                print_line(f"{self._plan.many} idle tunnels: {competitor.name}")
                self._with_competitor(competitor, self._hold_many, 0)

    def _with_competitor(self, competitor: Competitor, measure: Measure, number: int) -> None:
        try:
            with Processes(self._logs, competitor.name) as processes:
                route = competitor.start(processes, Hosts())
                self._generator.measure("connect", route, "-n", 200, "-c", 4)  # warm up
                measure(competitor, number, processes, route)
        except BenchError as error:
            self._problem(competitor, str(error))

    def _cells(self, competitor: Competitor, number: int, processes: Processes, route: str) -> None:
        for cell in shuffled(CELLS):
            before = processor_seconds(processes.pids)
            options = ("-c", cell.clients, "-t", self._plan.seconds)
            result = self._generator.measure(cell.mode, route, *options)
            processor = processor_seconds(processes.pids) - before
            if result.errors:
                self._problem(competitor, f"{cell.name}: {result.errors} failed")
            if not result.samples and not result.size:
                continue
            for metric, value in cell.metrics(result, processor).items():
                if "cpu" not in metric or processes.pids:
                    self._run.add(competitor.name, metric, number, value)

    def _idle(self, competitor: Competitor, number: int, processes: Processes, route: str) -> None:
        before = processes.memory()
        with self._generator.holding(route, self._plan.idle) as result:
            after = processes.memory()
            self._run.add(competitor.name, "idle_held", number, result.samples)
        if result.errors:
            self._problem(competitor, f"{result.errors} of {self._plan.idle} idle tunnels failed")
        if result.samples:
            each = [(b - a) / result.samples / 1000 for a, b in zip(before, after, strict=True)]
            self._run.add(competitor.name, "idle_kb", number, sum(each))
            self._run.add(competitor.name, "idle_kb_largest", number, max(each))

    def _hold_many(
        self, competitor: Competitor, number: int, _processes: Processes, route: str
    ) -> None:
        with self._generator.holding(route, self._plan.many) as result:
            pass
        if result.errors:
            self._problem(competitor, f"{result.errors} of {self._plan.many} idle tunnels failed")
        self._run.add(competitor.name, "many_held", number, result.samples)

    def _problem(self, competitor: Competitor, text: str) -> None:
        print_line(f"  {competitor.name}: {text}")
        self._run.problems.append(f"{competitor.name}: {text}")


def measure(plan: Plan, command: str, output: Path) -> Run:
    """Measure everything, and save the results after each round.

    Args:
        plan: the extent of the run.
        command: the command that repeats it.
        output: the file for the results.
    """
    run, competitors = begin("loopback", command, plan.competitors)
    max_idle = raise_descriptor_limit() // 2 - 100  # two for each tunnel
    wanted = max(plan.idle, plan.many)
    if max_idle < wanted:
        run.problems.append(f"descriptors are for {max_idle} idle tunnels only, not {wanted}")
    idle, many = min(plan.idle, max_idle), min(plan.many, max_idle)
    plan = dataclasses.replace(plan, competitors=tuple(competitors), idle=idle, many=many)
    program, logs = build(BUILT), BUILT / "logs"
    with target_running(program, Hosts(), logs) as generator:
        benchmark = Loopback(plan, run, generator, logs)
        for number in range(plan.idle_rounds):
            benchmark.idle_round(number)
        if plan.many:
            benchmark.many()
        run.save(output)
        for number in range(plan.rounds):
            benchmark.round(number)
            run.save(output)
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, save the results, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.loopback", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer competitors, one short round")
    parser.add_argument("--rounds", type=int, help="number of rounds")
    names = [competitor.name for competitor in FULL_PLAN.competitors]
    parser.add_argument(
        "--competitor",
        action="append",
        metavar="NAME",
        choices=names,
        help="measure only this row; repeatable",
    )
    options, command = options_of(parser, "loopback", arguments)
    plan = QUICK_PLAN if options.quick else FULL_PLAN
    competitors = tuple(
        competitor
        for competitor in plan.competitors
        if not options.competitor or competitor.name in options.competitor
    )
    plan = dataclasses.replace(plan, competitors=competitors, rounds=options.rounds or plan.rounds)
    output = options.output
    return run_to_exit(lambda: finish(measure(plan, command, output), output))


if __name__ == "__main__":
    sys.exit(main())
