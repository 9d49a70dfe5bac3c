"""Programs that run while something is measured, and end with it whatever happens."""

import contextlib
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import accounting

START_TIMEOUT_S = 20.0
"""Seconds that a program has to listen, and to end."""
_PORTS = range(20000, 30000)
"""Below the ports that Linux gives to connections, of which a benchmark uses thousands."""


class BenchError(Exception):
    """Something cannot be measured; the message is one line with the reason."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where a program runs.

    Args:
        address: the IPv4 address that others reach it by.
        prefix: the command prefix that runs it there.
    """

    address: str
    prefix: tuple[str, ...] = ()


LOOPBACK = Host("127.0.0.1")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The two ends of a path: the load generator is near, the target is far."""

    near: Host = LOOPBACK
    far: Host = LOOPBACK


class Processes:
    """Runs programs, each until the end of a `with` block.

    Args:
        logs: the folder for their output.
        name: the peer's name, for the names of these files.
    """

    def __init__(self, logs: Path, name: str) -> None:
        self._logs = logs
        self._name = name.replace(" ", "-")
        self._running: list[subprocess.Popen[bytes]] = []
        self._started = 0

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in reversed(self._running):
            stop(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(
        self,
        *command: str | int | Path,
        host: Host,
        port: int,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program, and return it once it listens.

        Args:
            command: the program and its arguments.
            host: where it runs.
            port: where it is going to listen.
            env: variables that it has besides ours.

        Raises:
            BenchError: it ended, or did not listen in time.
        """
        words = [str(word) for word in command]
        self._started += 1
        log = self._logs / f"{self._name}-{self._started}-{Path(words[0]).name}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*host.prefix, *words],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env={**_environment(), **(env or {})},
                start_new_session=True,  # Ctrl-C is for us; we end them in order
            )
        self._running.append(process)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not accounting.listens(process.pid, port):
            if process.poll() is not None:
                raise BenchError(f"{words[0]} ended with {process.returncode}{_last_line(log)}")
            if time.monotonic() > deadline:
                raise BenchError(f"{words[0]} does not listen{_last_line(log)}")
            time.sleep(0.02)
        return process

    def end(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
        """End one program before the others."""
        stop(process, number)
        self._running.remove(process)

    @property
    def processes(self) -> list[int]:
        """The numbers of the programs' processes, in the order of their start."""
        return [process.pid for process in self._running]

    def memory(self) -> list[int]:
        """Return the resident bytes of each program."""
        return [accounting.memory_of(pid) for pid in self.processes]


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """End a process and its children: with SIGTERM, and with SIGKILL if that takes long."""
    below = [_handle(pid) for pid in accounting.processes_below(process.pid)]
    process.send_signal(number)
    try:
        process.wait(START_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for handle in filter(None, below):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def _handle(pid: int) -> int | None:
    """Return a descriptor that means this process, and none that gets its number later."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:  # it has ended
        return None


def free_port() -> int:
    """Return a TCP port that no process on this machine listens on."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("", port))
            except OSError:
                continue
            return port


def raise_descriptor_limit() -> int:
    """Let us, and what we start, have as many descriptors as the system allows; returns them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted in (max(hard, 65536), hard):
        with contextlib.suppress(ValueError, OSError):  # only root can raise the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _environment() -> dict[str, str]:
    """Return the environment without what would change how a peer behaves."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NETJUMPER") and not name.lower().endswith("_proxy")
    }


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""
