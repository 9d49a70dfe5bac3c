"""The target and the clients as processes, and their reports."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple
from typing import IO, Any

from bench.accounting import listens
from bench.processes import START_TIMEOUT_S, BenchError
from soak.reporting import Failure
from soak.topology import BRIDGES, Topology


class Children:
    """A target, and a client for each bridge.

    Args:
        chain: what they use.
    """

    def __init__(self, network: Topology) -> None:
        self._topology = network
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._readers: list[threading.Thread] = []
        self._clients: list[subprocess.Popen[str]] = []
        self._target: subprocess.Popen[str] | None = None

    def start(self, concurrency: int, max_bytes: int) -> None:
        """Start them.

        Args:
            at_once: connections of each client at a time.
            largest: bytes that one of them moves in a direction, at most.
        """
        ports = self._topology.ports
        self._target = self._started("target", ports["target"], ports["web"])
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listens(self._target.pid, ports["web"]):
            if time.monotonic() > deadline:
                raise BenchError("the target does not listen")
            time.sleep(0.02)
        for bridge in BRIDGES:
            places = astuple(self._topology.places(bridge))
            self._clients.append(self._started("client", concurrency, max_bytes, *places))

    def collect(self) -> Iterator[Counter[str] | Failure]:
        """Yield the reports since the last call."""
        with contextlib.suppress(queue.Empty):
            while True:
                message = self._messages.get_nowait()
                if "failure" in message:
                    yield Failure(**message["failure"])
                else:
                    yield Counter(message["counts"])

    def stop_clients(self) -> None:
        """Kill the clients."""
        for client in self._clients:
            client.terminate()
        for client in self._clients:
            client.wait(START_TIMEOUT_S)

    def close(self) -> None:
        """End all of them; reports until then can be collected."""
        everyone = [*self._clients, *filter(None, [self._target])]
        for process in everyone:
            process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()
        for process in everyone:
            if process.stdout is not None:
                process.stdout.close()

    def _started(self, child: str, *numbers: int) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "soak.child", child, *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, which ends them in order
        )
        assert process.stdout is not None  # noqa: S101 - for mypy
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        self._readers.append(reader)
        return process

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._messages.put(json.loads(line))
