"""The target and the clients as processes, and what they tell."""

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
from bench.processes import PATIENCE, BenchError
from soak.reporting import Failure
from soak.topology import BRIDGES, Chain


class Parts:
    """A target, and a client for each bridge.

    Args:
        chain: what they use.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._readers: list[threading.Thread] = []
        self._clients: list[subprocess.Popen[str]] = []
        self._target: subprocess.Popen[str] | None = None

    def start(self, at_once: int, largest: int) -> None:
        """Start them.

        Args:
            at_once: connections of each client at a time.
            largest: bytes that one of them moves in a direction, at most.
        """
        ports = self._chain.ports
        self._target = self._started("target", ports["target"], ports["web"])
        deadline = time.monotonic() + PATIENCE
        while not listens(self._target.pid, ports["web"]):
            if time.monotonic() > deadline:
                raise BenchError("the target does not listen")
            time.sleep(0.02)
        for bridge in BRIDGES:
            ways = astuple(self._chain.ways(bridge))
            self._clients.append(self._started("client", at_once, largest, *ways))

    def collect(self) -> Iterator[Counter[str] | Failure]:
        """Yield what they have told since the last time."""
        with contextlib.suppress(queue.Empty):
            while True:
                told = self._told.get_nowait()
                if "failure" in told:
                    yield Failure(**told["failure"])
                else:
                    yield Counter(told["counts"])

    def stop_clients(self) -> None:
        """End the clients, whatever they are doing."""
        for client in self._clients:
            client.terminate()
        for client in self._clients:
            client.wait(PATIENCE)

    def close(self) -> None:
        """End all of them; what they have told until then can be collected."""
        everyone = [*self._clients, *filter(None, [self._target])]
        for process in everyone:
            process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()
        for process in everyone:
            if process.stdout is not None:
                process.stdout.close()

    def _started(self, part: str, *numbers: int) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "soak.child", part, *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us; we end them in order
        )
        assert process.stdout is not None  # noqa: S101 - for mypy
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        self._readers.append(reader)
        return process

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._told.put(json.loads(line))
