"""Start target and clients as child processes, and collect their reports."""

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
        topology: jump server and bridges that they use.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._readers: list[threading.Thread] = []
        self._clients: list[subprocess.Popen[str]] = []
        self._target: subprocess.Popen[str] | None = None

    def start(self, concurrency: int, max_bytes: int) -> None:
        """Start the target, wait until it listens, and start the clients.

        Args:
            concurrency: simultaneous connections of each client.
            max_bytes: maximum that one connection moves in a direction.

        Raises:
            BenchError: the target does not listen.
        """
        tunnel_port, web_port = (self._topology.ports[name] for name in ("target", "web"))
        self._target = self._spawn("target", tunnel_port, web_port)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listens(self._target.pid, web_port):
            if time.monotonic() > deadline:
                raise BenchError("the target does not listen")
            time.sleep(0.02)
        for bridge in BRIDGES:
            ports = astuple(self._topology.client_ports(bridge))
            self._clients.append(self._spawn("client", concurrency, max_bytes, *ports))

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
        """Terminate the clients and wait until they have exited."""
        for client in self._clients:
            client.terminate()
        for client in self._clients:
            client.wait(START_TIMEOUT_S)

    def close(self) -> None:
        """Kill all children; reports until then can still be collected."""
        processes = [*self._clients, *filter(None, [self._target])]
        for process in processes:
            process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()
        for process in processes:
            if process.stdout is not None:
                process.stdout.close()

    def _spawn(self, role: str, *numbers: int) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "soak.child", role, *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches only the parent, which stops its children
        )
        assert process.stdout is not None  # noqa: S101 - for mypy
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        self._readers.append(reader)
        return process

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._messages.put(json.loads(line))
