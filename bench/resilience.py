"""Requests around restarts and pauses, behind a firewall that forgets idle connections.

The jump server is restarted, and the firewall forgets, while there are no requests: what is parked
then is stale when the next request comes. Whatever fails is counted.
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
    """How much is tried.

    Args:
        requests: in all.
        restarts: of the jump server; there are as many pauses.
        pause: seconds without a request.
    """

    requests: int
    restarts: int
    pause: float

    def steps(self) -> Iterator[str]:
        """Yield what is done before each share of the requests: `pause` or `restart`."""
        for _ in range(self.restarts):
            yield "pause"
            yield "restart"


def resilience(trial: Trial, run: Run, program: Path, logs: Path) -> None:
    """Do it; the figures go into the run.

    Args:
        trial: how much.
        run: where the figures go.
        program: the load generator.
        logs: the folder for the programs' output.

    Raises:
        BenchError: it could not be done.
    """
    run.competitors[NAME] = 2
    run.ours.append(NAME)
    with (
        emulated(_PATH, run.problems) as hosts,
        target_running(program, hosts, logs) as generator,
        Processes(logs, "resilience") as runner,
    ):
        failed = _requests_failed(trial, runner, hosts, generator)
    run.add(NAME, "resilience_requests", 0, trial.requests)
    run.add(NAME, "resilience_failed", 0, failed)
    run.add(NAME, "resilience_restarts", 0, trial.restarts)
    run.add(NAME, "resilience_pause_s", 0, trial.pause)


class _JumpServer:
    """A jump server that can be restarted at its address."""

    def __init__(self, runner: Processes, hosts: Hosts) -> None:
        self._runner = runner
        self._host = hosts.far
        self._port = free_port()
        self.address = f"{self._host.address}:{self._port}"
        self.secret = secrets.token_hex(16)
        self._process = self._start()

    def restart(self) -> None:
        self._runner.end(self._process)
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return self._runner.start(
            install_environment("uvloop") / "netjumper",
            "--listen",
            self.address,
            host=self._host,
            port=self._port,
            env=netjumper_modes.settings(self.secret),
        )


def _requests_failed(trial: Trial, runner: Processes, hosts: Hosts, generator: Generator) -> int:
    server = _JumpServer(runner, hosts)
    mode = netjumper_modes.Mode()
    port = netjumper_modes.start_bridge(
        runner, hosts, "uvloop", mode, server.address, server.secret
    )
    way = f"socks5:127.0.0.1:{port}"
    generator.measure("connect", way, "-c", _CLIENTS, "-n", 5 * _CLIENTS)  # have some parked
    steps = list(trial.steps())
    failed = 0
    for number, step in enumerate(steps):
        done = f"{number // 2 + 1} of {trial.restarts}"
        print_line(f"resilience: {step} {done}; {failed} requests failed")
        if step == "pause":
            time.sleep(trial.pause)
        else:
            server.restart()
        share = trial.requests // len(steps)
        failed += generator.measure("connect", way, "-c", _CLIENTS, "-n", share).errors
    return failed
