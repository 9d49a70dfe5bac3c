"""Run `bench.path` as a process, and offer its ends as hosts."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import path
from bench.install import ROOT
from bench.processes import BenchError, Host, Hosts


@dataclass(frozen=True, slots=True)
class LongPath:
    """Properties of a path.

    Args:
        rtt: round trip in milliseconds.
        loss: lost packets in per cent, in each direction.
        rate: Mbit/s; 0 is no limit.
        congestion: TCP's congestion control at both ends; empty for the system's own.
        forget: seconds until a firewall forgets an idle connection; 0 for no firewall.
    """

    rtt: int
    loss: int = 0
    rate: int = 0
    congestion: str = ""
    forget: float = 0.0

    def __str__(self) -> str:
        details = [f"{self.rtt} ms", f"{self.loss} % loss"]
        details += [f"{self.rate} Mbit/s"] if self.rate else []
        return ", ".join([*details, self.congestion] if self.congestion else details)

    def arguments(self) -> list[str]:
        """Return the arguments of `bench.path`."""
        options: list[object] = ["--rtt", self.rtt, "--loss", self.loss, "--rate", self.rate]
        if self.congestion:
            # Large enough for all data in transit and retransmissions: buffers are not measured.
            options += ["--congestion", self.congestion, "--buffers", 16]
        options += ["--forget", self.forget] if self.forget else []
        return [str(option) for option in options]


@contextmanager
def emulated(long_path: LongPath, problems: list[str]) -> Iterator[Hosts]:
    """Emulate a path until the block ends, and yield its ends.

    Args:
        long_path: its properties.
        problems: gets a line if the emulation was too slow and lost packets.

    Raises:
        BenchError: the path cannot be made.
    """
    names = [f"bench-{end}-{os.getpid()}" for end in ("near", "far")]
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "bench.path", *names, *long_path.arguments()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - for mypy
        if process.stdout.readline() != "ready\n":
            error = process.communicate()[1].strip().partition("\n")[0]
            raise BenchError(f"no path of {long_path}: {error}")
        inside = [("ip", "netns", "exec", name) for name in names]
        yield Hosts(Host(path.NEAR, inside[0]), Host(path.FAR, inside[1]))
    finally:
        process.send_signal(signal.SIGTERM)
        output = process.communicate()[0]
    counters = json.loads(output)
    if counters["route_overrides_programs"]:
        problems.append(
            f"path of {long_path}: its route overrides what programs set"
            f" (sysctl net.ipv4.tcp_allowed_congestion_control lacks {long_path.congestion})"
        )
    if overruns := counters["overruns"]:
        problems.append(f"path of {long_path}: the emulation was too slow for {overruns} packets")
