"""`make soak`: run it, report each minute, and judge at the end."""

import argparse
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench.processes import BenchError
from soak.children import Children
from soak.record import Record, States, message, table
from soak.topology import Topology, running_topology

LOGS = Path(".soak")
QUIET = 15.0
"""Seconds that the processes have at the end to release everything."""


class Soak:
    """One run.

    Args:
        chain: runs.
        parts: are not started yet.
        calm: seconds between restarts of the server, about.
    """

    def __init__(self, network: Topology, sections: Children, restart_interval: float) -> None:
        self.record = Record()
        self.states: dict[str, States] = {"at the start": network.have()}
        self._topology = network
        self._parts = sections
        self._restart_interval = restart_interval

    def go_on(self, seconds: float, *, restarts: bool = True) -> None:
        """Watch the processes for `seconds`, and report each minute."""
        begin = now = time.monotonic()
        restart, report = begin + self._pause(), begin + 60.0
        while now < begin + seconds:
            if restarts and now >= restart:
                self._restart(random.choice([signal.SIGKILL, signal.SIGTERM]))
                restart = time.monotonic() + self._pause()
            if now >= report:
                report += 60.0
                print_line(f"{self.record}; {message(self._topology.have())}")
            time.sleep(0.1)
            self._collect()
            now = time.monotonic()

    def note(self, when: str) -> None:
        """Record the resources of each process."""
        self.states[when] = self._topology.have()

    def end(self) -> None:
        """Stop the clients, and check what is left of them."""
        self._parts.stop_clients()
        time.sleep(QUIET)
        self.note("at the end")
        self._parts.close()
        self._collect()
        _, before, after = self.states.values()
        self.record.compare(before, after)
        for name in list(self._topology.processes):
            if status := self._topology.stop(name):
                self.record.wrong.append(f"{name} ended with status {status}")

    def _restart(self, number: int) -> None:
        """Stop the server for a moment; failures are in order then."""
        began = time.monotonic()
        self.record.restarts.append((began, began + 60.0))
        status = self._topology.stop("server", number)
        if number == signal.SIGTERM and status:
            self.record.wrong.append(f"the server ended with status {status}")
        self._topology.start_server()
        self.record.restarts[-1] = began, time.monotonic()
        self.record.counts["restarts"] += 1

    def _collect(self) -> None:
        for it in self._parts.collect():
            if isinstance(it, Counter):
                self.record.counts += it
            elif self.record.judge(it):
                print_line(f"wrong: {self.record.wrong[-1]}")

    def _pause(self) -> float:
        return random.uniform(0.5, 1.5) * self._restart_interval


def run(seconds: float, *, concurrency: int, max_bytes: int, restart_interval: float) -> Record:
    """Do all of it.

    Args:
        seconds: how long; there are no restarts in the first minute, or the first third of it.
        at_once: connections of each client at a time.
        largest: bytes that one of them moves in a direction, at most.
        calm: seconds between restarts, about.
    """
    warming = min(60.0, seconds / 3)
    with running_topology(LOGS) as network, closing(Children(network)) as sections:
        soak = Soak(network, sections, restart_interval)
        sections.start(concurrency, max_bytes)
        soak.go_on(warming, restarts=False)
        soak.note(f"after {warming:.0f} s")
        soak.go_on(seconds - warming)
        soak.end()
    print_line(table(soak.states))
    return soak.record


def print_line(line: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, and return the exit status: 1 if anything was wrong."""
    parser = argparse.ArgumentParser("make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long")
    parser.add_argument("--at-once", type=int, default=12, help="connections of each client")
    parser.add_argument("--largest", type=int, default=8_000_000, help="bytes of one, at most")
    parser.add_argument("--calm", type=float, default=45.0, help="seconds between restarts, about")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        record = run(**vars(parser.parse_args(arguments)))
    except (BenchError, KeyboardInterrupt) as error:
        print_line(f"soak: {error}" if isinstance(error, BenchError) else "soak: interrupted")
        return 1
    print_line(f"all in all: {record}")
    for wrong, times in Counter(record.wrong).items():
        print_line(f"wrong, {times} times: {wrong}")
    return 1 if record.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
