"""What every benchmark does around its measuring."""

import contextlib
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from bench import ours
from bench.figures import Run
from bench.installing import (
    ENVIRONMENTS,
    PACKAGES,
    ROOT,
    install_environment,
    install_programs,
)
from bench.machine import machine, versions
from bench.peers import Peer
from bench.stage import BenchError

RESULTS = ROOT / "bench" / "results"

ItemT = TypeVar("ItemT")


def say(line: str) -> None:
    """Tell the one who waits."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def shuffled(items: Sequence[ItemT]) -> list[ItemT]:
    """Return the items in another order."""
    return random.sample(items, len(items))


def begin(kind: str, command: str, peers: Sequence[Peer]) -> tuple[Run, list[Peer]]:
    """Install what is missing.

    Args:
        kind: of the benchmark.
        command: what a person types to have it again.
        peers: the rows that are wanted.

    Returns:
        A run without figures, and the rows that can be had; why others cannot is in the run.
    """
    programs = sorted({program for peer in peers for program in peer.programs})
    problems = {
        program: f"{program} is not installed: apt install {PACKAGES[program]}"
        for program in install_programs([*programs, "cc"])
    }
    for name in ENVIRONMENTS:
        try:
            install_environment(name)
        except BenchError as error:
            problems[name] = str(error)
    there = [
        peer
        for peer in peers
        if not {*peer.programs, peer.environment} & problems.keys() and _is_known(peer)
    ]
    run = Run(
        kind,
        command,
        machine(),
        versions([it for it in programs if it not in problems], ENVIRONMENTS),
        peers={peer.name: peer.hops for peer in there},
        ours=[peer.name for peer in there if peer.ours],
        problems=list(problems.values()),
    )
    for problem in run.problems:
        say(f"left out: {problem}")
    return run, there


def run_to_exit(work: Callable[[], Any]) -> int:
    """Do the work, and return the exit code; what goes wrong is a line."""
    try:
        with _interruptible():
            work()
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        say("bench: interrupted; what was finished is kept")
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


def _is_known(peer: Peer) -> bool:
    return not peer.needs or ours.knows("asyncio", peer.needs)
