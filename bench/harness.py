"""What every benchmark does around its measuring."""

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
"""What whole runs write, and `make bench-report` reads, by the kinds of runs."""

ItemT = TypeVar("ItemT")


def print_line(line: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def shuffled(items: Sequence[ItemT]) -> list[ItemT]:
    """Return the items in another order."""
    return random.sample(items, len(items))


def begin(
    kind: str, command: str, competitors: Sequence[Competitor]
) -> tuple[Run, list[Competitor]]:
    """Install what is missing.

    Args:
        kind: of the benchmark.
        command: the command that repeats it.
        competitors: the rows that are wanted.

    Returns:
        A run without figures, and the rows that can be had; why others cannot is in the run.
    """
    about = machine()  # before the load that installing makes
    programs = sorted({program for peer in competitors for program in peer.programs})
    missing = {
        program: f"{program} is not installed: apt install {PACKAGES[program]}"
        for program in install_programs([*programs, "cc"])
    }
    environments = [
        name for name in ENVIRONMENTS if name in {peer.environment for peer in competitors}
    ]
    for name in environments:
        try:
            install_environment(name)
        except BenchError as error:
            missing[name] = str(error)
    there, problems = [], []
    for peer in competitors:
        reasons = [missing[it] for it in (*peer.programs, peer.environment) if it in missing]
        if reasons:
            problems.append(f"{peer.name} is left out: {'; '.join(dict.fromkeys(reasons))}")
        else:
            there.append(peer)
    run = Run(
        kind,
        command,
        about,
        versions(
            *([it for it in names if it not in missing] for names in (programs, environments))
        ),
        competitors={peer.name: peer.hops for peer in there},
        ours=[peer.name for peer in there if peer.ours],
        problems=problems,
    )
    for problem in run.problems:
        print_line(problem)
    return run, there


def options_of(
    parser: argparse.ArgumentParser, kind: str, arguments: Sequence[str] | None
) -> tuple[argparse.Namespace, str]:
    """Read the options, and `--output` among them.

    Args:
        parser: knows all others.
        kind: of the benchmark.
        arguments: what was typed; None for those of this process.

    Returns:
        The options, and what was typed, without `--output`, which changes no figure. Who gives none
        gets a file of its own for each command: only a whole run replaces what a whole run found.
    """
    output = argparse.ArgumentParser(add_help=False)
    for each in (parser, output):
        each.add_argument("--output", type=Path, help="the file for the results")
    options = parser.parse_args(arguments)
    typed = output.parse_known_args(arguments)[1]
    name = re.sub(r"[^\w.]+", "-", " ".join([TARGETS[kind], *typed])).strip("-")
    options.output = options.output or RESULTS / f"{name}.json"
    words = shlex.join(typed)
    return options, f'make {TARGETS[kind]} ARGS="{words}"' if typed else f"make {TARGETS[kind]}"


def finish(run: Run, output: Path) -> None:
    """Print the results, and where they are."""
    sys.stdout.write(summary(run))
    is_read = output.resolve() == FILES[run.kind].resolve()
    more = "; make bench-report makes docs/performance.md of it" if is_read else ""
    print_line(f"written to {output}{more}")


def run_to_exit(work: Callable[[], Any]) -> int:
    """Do the work, and return the exit code; what goes wrong is a line."""
    try:
        with _interruptible():
            work()
    except BenchError as error:
        print_line(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        print_line("bench: interrupted; what was finished is kept")
        return 130
    return 0


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM and SIGHUP do what Ctrl-C does: end what was started, in order."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
