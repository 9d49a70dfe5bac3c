"""`make soak`: run all processes under faults, report each minute, and judge at the end."""

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
from soak.record import Footprints, Record, format_line, format_table
from soak.topology import Topology, running_topology

LOGS = Path(".soak")
RELEASE_TIME_S = 15.0
"""Time that the processes have at the end to release their resources."""


class Soak:
    """One run.

    Args:
        topology: running jump server and bridges.
        children: target and clients, not started yet.
        restart_interval: mean seconds between restarts of the jump server.
    """

    def __init__(self, topology: Topology, children: Children, restart_interval: float) -> None:
        self.record = Record()
        self.snapshots: dict[str, Footprints] = {"at the start": topology.footprints()}
        self._topology = topology
        self._children = children
        self._restart_interval = restart_interval

    def watch(self, seconds: float, *, restarts: bool = True) -> None:
        """Watch the processes for `seconds` and report each minute."""
        begin = now = time.monotonic()
        restart, report = begin + self._pause(), begin + 60.0
        while now < begin + seconds:
            if restarts and now >= restart:
                self._restart(random.choice([signal.SIGKILL, signal.SIGTERM]))
                restart = time.monotonic() + self._pause()
            if now >= report:
                report += 60.0
                print_line(f"{self.record}; {format_line(self._topology.footprints())}")
            time.sleep(0.1)
            self._collect()
            now = time.monotonic()

    def snapshot(self, when: str) -> None:
        """Record the resources of each process under the label `when`."""
        self.snapshots[when] = self._topology.footprints()

    def finish(self) -> None:
        """Stop the clients and check that the other processes release their resources."""
        self._children.stop_clients()
        time.sleep(RELEASE_TIME_S)
        self.snapshot("at the end")
        self._children.close()
        self._collect()
        _, before, after = self.snapshots.values()
        self.record.compare(before, after)
        for name in list(self._topology.processes):
            if status := self._topology.stop(name):
                self.record.wrong.append(f"{name} ended with status {status}")

    def _restart(self, signal_number: int) -> None:
        """Restart the jump server; failures of that time are expected."""
        began = time.monotonic()
        self.record.restarts.append((began, began + 60.0))
        status = self._topology.stop("server", signal_number)
        if signal_number == signal.SIGTERM and status:
            self.record.wrong.append(f"the server ended with status {status}")
        self._topology.start_server()
        self.record.restarts[-1] = began, time.monotonic()
        self.record.counts["restarts"] += 1

    def _collect(self) -> None:
        for it in self._children.collect():
            if isinstance(it, Counter):
                self.record.counts += it
            elif self.record.judge(it):
                print_line(f"wrong: {self.record.wrong[-1]}")

    def _pause(self) -> float:
        return random.uniform(0.5, 1.5) * self._restart_interval


def run(seconds: float, *, concurrency: int, max_bytes: int, restart_interval: float) -> Record:
    """Run the soak test and return its record.

    Args:
        seconds: duration. The first minute, or the first third if that is shorter, is a warm-up
            without restarts.
        concurrency: simultaneous connections of each client.
        max_bytes: maximum that one connection moves in a direction.
        restart_interval: mean seconds between restarts of the jump server.
    """
    warm_up = min(60.0, seconds / 3)
    with running_topology(LOGS) as topology, closing(Children(topology)) as children:
        soak = Soak(topology, children, restart_interval)
        children.start(concurrency, max_bytes)
        soak.watch(warm_up, restarts=False)
        soak.snapshot(f"after {warm_up:.0f} s")
        soak.watch(seconds - warm_up)
        soak.finish()
    print_line(format_table(soak.snapshots))
    return soak.record


def print_line(line: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak test and return the exit status: 1 if anything was wrong."""
    parser = argparse.ArgumentParser("make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="duration of the run")
    parser.add_argument(
        "--concurrency", type=int, default=12, help="simultaneous connections of each client"
    )
    parser.add_argument(
        "--max-bytes", type=int, default=8_000_000, help="bytes per connection and direction"
    )
    parser.add_argument(
        "--restart-interval", type=float, default=45.0, help="mean seconds between restarts"
    )
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, signal.default_int_handler)
    try:
        record = run(**vars(parser.parse_args(arguments)))
    except (BenchError, KeyboardInterrupt) as error:
        print_line(f"soak: {error}" if isinstance(error, BenchError) else "soak: interrupted")
        return 1
    print_line(f"total: {record}")
    for wrong, count in Counter(record.wrong).items():
        print_line(f"wrong, {count} times: {wrong}")
    return 1 if record.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
