"""Count failed requests after restarts and pauses, behind a firewall that forgets connections.

The jump server restarts, and the firewall forgets, while there are no requests: all parked
connections are then stale when the next request arrives.
"""

import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import netjumper_modes
from bench.generator import Generator, target_running
from bench.harness import print_line
from bench.install import install_environment
from bench.longpath import LongPath, emulated
from bench.processes import Hosts, Processes, free_port
from bench.samples import Run

NAME = "bridge + netjumper (uvloop)"
_PATH = LongPath(rtt=20, forget=15.0)
_CLIENTS = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """The extent of the test.

    Args:
        requests: total number of requests.
        restarts: of the jump server; there are as many pauses.
        pause: seconds without requests.
    """

    requests: int
    restarts: int
    pause: float

    def steps(self) -> Iterator[str]:
        """Yield the event before each share of the requests: `pause` or `restart`."""
        for _ in range(self.restarts):
            yield "pause"
            yield "restart"


def resilience(trial: Trial, run: Run, program: Path, logs: Path) -> None:
    """Run the test and add its figures to the run.

    Args:
        trial: the extent of the test.
        run: gets the figures.
        program: the load generator.
        logs: the folder for the output of programs.

    Raises:
        BenchError: the test is not possible here.
    """
    run.competitors[NAME] = 2
    run.netjumper_rows.append(NAME)
    with (
        emulated(_PATH, run.problems) as hosts,
        target_running(program, hosts, logs) as generator,
        Processes(logs, "resilience") as processes,
    ):
        failed = _requests_failed(trial, processes, hosts, generator)
    run.add(NAME, "resilience_requests", 0, trial.requests)
    run.add(NAME, "resilience_failed", 0, failed)
    run.add(NAME, "resilience_restarts", 0, trial.restarts)
    run.add(NAME, "resilience_pause_s", 0, trial.pause)


class _JumpServer:
    """A jump server that can restart at its address."""

    def __init__(self, processes: Processes, hosts: Hosts) -> None:
        self._processes = processes
        self._host = hosts.far
        self._port = free_port()
        self.address = f"{self._host.address}:{self._port}"
        self.secret = secrets.token_hex(16)
        self._process = self._start()

    def restart(self) -> None:
        self._processes.end(self._process)
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return self._processes.start(
            install_environment("uvloop") / "netjumper",
            "--listen",
            self.address,
            host=self._host,
            port=self._port,
            env=netjumper_modes.settings(self.secret),
        )


def _requests_failed(trial: Trial, processes: Processes, hosts: Hosts, generator: Generator) -> int:
    server = _JumpServer(processes, hosts)
    mode = netjumper_modes.Mode()
    port = netjumper_modes.start_bridge(
        processes, hosts, "uvloop", mode, server.address, server.secret
    )
    route = f"socks5:127.0.0.1:{port}"
    generator.measure(
        "connect", route, "-c", _CLIENTS, "-n", 5 * _CLIENTS
    )  # fill the pool of parked connections
    steps = list(trial.steps())
    failed = 0
    for number, step in enumerate(steps):
        progress = f"{number // 2 + 1} of {trial.restarts}"
        print_line(f"resilience: {step} {progress}; {failed} requests failed")
        if step == "pause":
            time.sleep(trial.pause)
        else:
            server.restart()
        share = trial.requests // len(steps)
        failed += generator.measure("connect", route, "-c", _CLIENTS, "-n", share).errors
    return failed
