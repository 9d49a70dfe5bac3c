"""`make soak`: run it, tell each minute what was done, and judge at the end."""

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
from soak.children import Parts
from soak.record import Record, States, table, told
from soak.topology import Chain, chain_running

LOGS = Path(".soak")
QUIET = 15.0
"""Seconds that the processes have at the end for letting go of everything."""


class Soak:
    """One run.

    Args:
        chain: runs.
        parts: are not started yet.
        calm: seconds between restarts of the server, about.
    """

    def __init__(self, chain: Chain, parts: Parts, calm: float) -> None:
        self.record = Record()
        self.states: dict[str, States] = {"at the start": chain.have()}
        self._chain = chain
        self._parts = parts
        self._calm = calm

    def go_on(self, seconds: float, *, restarts: bool = True) -> None:
        """Watch them for so long, and tell each minute what was done."""
        begin = now = time.monotonic()
        restart, tell = begin + self._pause(), begin + 60.0
        while now < begin + seconds:
            if restarts and now >= restart:
                self._restart(random.choice([signal.SIGKILL, signal.SIGTERM]))
                restart = time.monotonic() + self._pause()
            if now >= tell:
                tell += 60.0
                say(f"{self.record}; {told(self._chain.have())}")
            time.sleep(0.1)
            self._collect()
            now = time.monotonic()

    def note(self, when: str) -> None:
        """Remember what each process has now."""
        self.states[when] = self._chain.have()

    def end(self) -> None:
        """Have the clients go, and see what is left of them."""
        self._parts.stop_clients()
        time.sleep(QUIET)
        self.note("at the end")
        self._parts.close()
        self._collect()
        _, before, after = self.states.values()
        self.record.compare(before, after)
        for name in list(self._chain.processes):
            if status := self._chain.stop(name):
                self.record.wrong.append(f"{name} ended with status {status}")

    def _restart(self, number: int) -> None:
        """Have the server away for a moment; what fails then is in order."""
        began = time.monotonic()
        self.record.restarts.append((began, began + 60.0))
        status = self._chain.stop("server", number)
        if number == signal.SIGTERM and status:
            self.record.wrong.append(f"the server ended with status {status}")
        self._chain.start_server()
        self.record.restarts[-1] = began, time.monotonic()
        self.record.counts["restarts"] += 1

    def _collect(self) -> None:
        for it in self._parts.collect():
            if isinstance(it, Counter):
                self.record.counts += it
            elif self.record.judge(it):
                say(f"wrong: {self.record.wrong[-1]}")

    def _pause(self) -> float:
        return random.uniform(0.5, 1.5) * self._calm


def run(seconds: float, *, at_once: int, largest: int, calm: float) -> Record:
    """Do all of it.

    Args:
        seconds: how long; there are no restarts in the first minute, or the first third of it.
        at_once: connections of each client at a time.
        largest: bytes that one of them moves in a direction, at most.
        calm: seconds between restarts, about.
    """
    warming = min(60.0, seconds / 3)
    with chain_running(LOGS) as chain, closing(Parts(chain)) as parts:
        soak = Soak(chain, parts, calm)
        parts.start(at_once, largest)
        soak.go_on(warming, restarts=False)
        soak.note(f"after {warming:.0f} s")
        soak.go_on(seconds - warming)
        soak.end()
    say(table(soak.states))
    return soak.record


def say(line: str) -> None:
    """Tell the one who waits."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it as it is asked for, and return the exit status: 1 where anything was wrong."""
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
        say(f"soak: {error}" if isinstance(error, BenchError) else "soak: interrupted")
        return 1
    say(f"all in all: {record}")
    for wrong, times in Counter(record.wrong).items():
        say(f"wrong, {times} times: {wrong}")
    return 1 if record.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
