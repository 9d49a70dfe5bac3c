"""Steps that all benchmarks share: preparation, options, results and exit."""

import argparse
import contextlib
import random
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.competitors import Competitor
from bench.install import ENVIRONMENTS, PACKAGES, ROOT, install_environment, install_programs
from bench.machine import machine, versions
from bench.processes import BenchError
from bench.samples import Run
from bench.summary import summary

RESULTS = ROOT / "bench" / "results"
TARGETS = {"loopback": "bench", "wan": "bench-wan"}
"""The `make` target of each kind of run."""

FILES = {kind: RESULTS / f"{name}.json" for kind, name in TARGETS.items()}
"""Result files of complete runs, which `make bench-report` reads, by the kind of run."""

ItemT = TypeVar("ItemT")


def print_line(line: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def shuffled(items: Sequence[ItemT]) -> list[ItemT]:
    """Return the items in random order."""
    return random.sample(items, len(items))


def begin(
    kind: str, command: str, competitors: Sequence[Competitor]
) -> tuple[Run, list[Competitor]]:
    """Install missing competitors and make an empty run.

    Args:
        kind: of the benchmark.
        command: the command that repeats it.
        competitors: the requested rows.

    Returns:
        A run without figures, and the available rows; the run has the reasons for missing ones.
    """
    about = machine()  # before the installation changes the load
    programs = sorted({program for it in competitors for program in it.programs})
    wanted = {it.environment for it in competitors}
    environments = [name for name in ENVIRONMENTS if name in wanted]
    missing = _install(programs, environments)
    available, problems = [], []
    for competitor in competitors:
        reasons = [
            missing[it] for it in (*competitor.programs, competitor.environment) if it in missing
        ]
        if reasons:
            problems.append(f"{competitor.name} is left out: {'; '.join(dict.fromkeys(reasons))}")
        else:
            available.append(competitor)
    installed = ([it for it in names if it not in missing] for names in (programs, environments))
    run = Run(
        kind,
        command,
        about,
        versions(*installed),
        competitors={it.name: it.hops for it in available},
        netjumper_rows=[it.name for it in available if it.is_netjumper],
        problems=problems,
    )
    for problem in run.problems:
        print_line(problem)
    return run, available


def _install(programs: Sequence[str], environments: Sequence[str]) -> dict[str, str]:
    """Install programs and environments; return the reason for each that is still missing."""
    missing = {
        program: f"{program} is not installed: apt install {PACKAGES[program]}"
        for program in install_programs([*programs, "cc"])
    }
    for name in environments:
        try:
            install_environment(name)
        except BenchError as error:
            missing[name] = str(error)
    return missing


def options_of(
    parser: argparse.ArgumentParser, kind: str, arguments: Sequence[str] | None
) -> tuple[argparse.Namespace, str]:
    """Parse the options, and `--output` among them.

    The default output file depends on the other options, so that only a complete run replaces the
    results of a complete run.

    Args:
        parser: knows all options but `--output`.
        kind: of the benchmark.
        arguments: the command line; None for that of this process.

    Returns:
        The options, and the `make` command that repeats the run, without `--output`.
    """
    output = argparse.ArgumentParser(add_help=False)
    for each in (parser, output):
        each.add_argument("--output", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    given = output.parse_known_args(arguments)[1]
    name = re.sub(r"[^\w.]+", "-", " ".join([TARGETS[kind], *given])).strip("-")
    options.output = options.output or RESULTS / f"{name}.json"
    words = shlex.join(given)
    return options, f'make {TARGETS[kind]} ARGS="{words}"' if given else f"make {TARGETS[kind]}"


def finish(run: Run, output: Path) -> None:
    """Print the results and the path of their file."""
    sys.stdout.write(summary(run))
    is_read = output.resolve() == FILES[run.kind].resolve()
    hint = "; make bench-report makes docs/performance.md of it" if is_read else ""
    print_line(f"written to {output}{hint}")


def run_to_exit(work: Callable[[], Any]) -> int:
    """Run `work`, print its error as a line, and return the exit status."""
    try:
        with _interruptible():
            work()
    except BenchError as error:
        print_line(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        print_line("bench: interrupted; finished rounds are kept")
        return 130
    return 0


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that all started programs are stopped."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
