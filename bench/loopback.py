"""`python -m bench.loopback`: everything on loopback, where the proxies themselves are what costs.

In each round the competitors come in another order, and so do the cells of each: what the machine
does besides then falls on all of them.
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
from bench.generator import Generator, Measured, build, target_running
from bench.harness import begin, finish, options_of, print_line, run_to_exit, shuffled
from bench.install import BUILT
from bench.processes import BenchError, Hosts, Processes, raise_descriptor_limit
from bench.samples import Run

OURS = (
    netjumper_modes.one_hop("asyncio"),
    netjumper_modes.one_hop("uvloop"),
    *(
        netjumper_modes.chain(loop, mode)
        for mode in netjumper_modes.LOOPBACK_MODES
        for loop in ("asyncio", "uvloop")
    ),
)
QUICK = (DIRECT, MICROSOCKS, SHADOWSOCKS, SSH, *OURS[:4])


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Args:
        competitors: the rows.
        rounds: how often.
        seconds: of each cell.
        idle: idle tunnels that a peer is asked to hold.
        idle_rounds: how often that is done.
        many: idle tunnels that one process of ours is asked to hold; 0 for none.
    """

    competitors: tuple[Competitor, ...]
    rounds: int
    seconds: float
    idle: int
    idle_rounds: int
    many: int


FULL_PLAN = Plan((*OTHERS, *OURS), rounds=5, seconds=2.0, idle=5000, idle_rounds=2, many=8000)
QUICK_PLAN = Plan(QUICK, rounds=1, seconds=0.8, idle=2000, idle_rounds=1, many=0)


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that is measured of every peer.

    Args:
        name: begins the names of its metrics.
        mode: of the load generator.
        clients: connections at a time.
    """

    name: str
    mode: str
    clients: int

    def metrics(self, found: Measured, processor: float) -> dict[str, float]:
        """Return what was found by the names of the metrics."""
        if self.mode == "connect":
            return {
                "connect_per_s": found.samples / found.seconds,
                "connect_cpu_us": processor / found.samples * 1e6,
            }
        if self.mode == "pingpong":
            return {f"{self.name}_p50_us": found.p50 * 1e6, f"{self.name}_p99_us": found.p99 * 1e6}
        gigabytes = found.size / 1e9
        return {
            f"{self.name}_gbit_s": gigabytes * 8 / found.seconds,
            f"{self.name}_cpu_s_per_gb": processor / gigabytes,
        }


CELLS = (
    Cell("connect", "connect", 16),
    Cell("pingpong_1", "pingpong", 1),
    Cell("pingpong_50", "pingpong", 50),
    *(Cell(f"{mode}_{clients}", mode, clients) for mode in ("down", "up") for clients in (1, 8)),
)


Use = Callable[[Competitor, int, Processes, str], None]


class Loopback:
    """The benchmark.

    Args:
        plan: how much is measured.
        run: where the figures go.
        generator: sends the requests.
        logs: the folder for the programs' output.
    """

    def __init__(self, plan: Plan, run: Run, generator: Generator, logs: Path) -> None:
        self._plan = plan
        self._run = run
        self._generator = generator
        self._logs = logs

    def round(self, number: int) -> None:
        """Measure every cell of every peer once."""
        for peer in shuffled(self._plan.competitors):
            print_line(f"round {number + 1} of {self._plan.rounds}: {peer.name}")
            self._with_peer(peer, self._cells, number)

    def idle_round(self, number: int) -> None:
        """Have every peer that does hold idle tunnels once."""
        for peer in shuffled(self._plan.competitors):
            if peer.idles:
                print_line(f"{self._plan.idle} idle tunnels: {peer.name}")
                self._with_peer(peer, self._idle, number)

    def many(self) -> None:
        """Have one process of ours hold very many."""
        for peer in self._plan.competitors:
            if peer.ours and peer.hops == 1:
                print_line(f"{self._plan.many} idle tunnels: {peer.name}")
                self._with_peer(peer, self._hold_many, 0)

    def _with_peer(self, peer: Competitor, use: Use, number: int) -> None:
        try:
            with Processes(self._logs, peer.name) as runner:
                way = peer.start(runner, Hosts())
                self._generator.measure("connect", way, "-n", 200, "-c", 4)  # warm up
                use(peer, number, runner, way)
        except BenchError as error:
            self._problem(peer, str(error))

    def _cells(self, peer: Competitor, number: int, runner: Processes, way: str) -> None:
        for cell in shuffled(CELLS):
            before = processor_seconds(runner.processes)
            options = ("-c", cell.clients, "-t", self._plan.seconds)
            found = self._generator.measure(cell.mode, way, *options)
            processor = processor_seconds(runner.processes) - before
            if found.errors:
                self._problem(peer, f"{cell.name}: {found.errors} failed")
            if not found.samples and not found.size:
                continue
            for metric, value in cell.metrics(found, processor).items():
                if "cpu" not in metric or runner.processes:
                    self._run.add(peer.name, metric, number, value)

    def _idle(self, peer: Competitor, number: int, runner: Processes, way: str) -> None:
        before = runner.memory()
        with self._generator.holding(way, self._plan.idle) as found:
            after = runner.memory()
            self._run.add(peer.name, "idle_held", number, found.samples)
        if found.errors:
            self._problem(peer, f"{found.errors} of {self._plan.idle} idle tunnels failed")
        if found.samples:
            each = [(b - a) / found.samples / 1000 for a, b in zip(before, after, strict=True)]
            self._run.add(peer.name, "idle_kb", number, sum(each))
            self._run.add(peer.name, "idle_kb_largest", number, max(each))

    def _hold_many(self, peer: Competitor, number: int, _runner: Processes, way: str) -> None:
        with self._generator.holding(way, self._plan.many) as found:
            pass
        if found.errors:
            self._problem(peer, f"{found.errors} of {self._plan.many} idle tunnels failed")
        self._run.add(peer.name, "many_held", number, found.samples)

    def _problem(self, peer: Competitor, text: str) -> None:
        print_line(f"  {peer.name}: {text}")
        self._run.problems.append(f"{peer.name}: {text}")


def measure(plan: Plan, command: str, output: Path) -> Run:
    """Measure it all; what is finished is written down after each round.

    Args:
        plan: how much is measured.
        command: the command that repeats it.
        output: where the results go.
    """
    run, competitors = begin("loopback", command, plan.competitors)
    most = raise_descriptor_limit() // 2 - 100  # a tunnel takes two
    wanted = max(plan.idle, plan.many)
    if most < wanted:
        run.problems.append(f"descriptors are for {most} idle tunnels only, not {wanted}")
    idle, many = min(plan.idle, most), min(plan.many, most)
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
    """Measure, write the results, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.loopback", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer competitors, one short round")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    names = [peer.name for peer in FULL_PLAN.competitors]
    parser.add_argument(
        "--peer", action="append", metavar="NAME", choices=names, help="only this row; repeatable"
    )
    options, command = options_of(parser, "loopback", arguments)
    plan = QUICK_PLAN if options.quick else FULL_PLAN
    competitors = tuple(
        peer for peer in plan.competitors if not options.peer or peer.name in options.peer
    )
    plan = dataclasses.replace(plan, competitors=competitors, rounds=options.rounds or plan.rounds)
    output = options.output
    return run_to_exit(lambda: finish(measure(plan, command, output), output))


if __name__ == "__main__":
    sys.exit(main())
