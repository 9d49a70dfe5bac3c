"""Start programs for a measurement, and stop them at its end in every case."""

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
"""Time in which a program must listen, or exit."""
_PORTS = range(20000, 30000)
"""Below Linux's ephemeral ports, of which a benchmark uses thousands."""


class BenchError(Exception):
    """A measurement is not possible; the message is one line with the reason."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host for programs.

    Args:
        address: its IPv4 address for other hosts.
        prefix: command prefix that runs a program there.
    """

    address: str
    prefix: tuple[str, ...] = ()


LOOPBACK = Host("127.0.0.1")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The two ends of a path: the load generator is at the near end, the target at the far end."""

    near: Host = LOOPBACK
    far: Host = LOOPBACK


class Processes:
    """Runs programs until the end of a `with` block.

    Args:
        logs: the folder for their output.
        name: prefix of the names of these files.
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
            host: on which it runs.
            port: on which it will listen.
            env: more environment variables.

        Raises:
            BenchError: it exited, or did not listen in time.
        """
        arguments = [str(it) for it in command]
        self._started += 1
        log = self._logs / f"{self._name}-{self._started}-{Path(arguments[0]).name}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*host.prefix, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env={**_environment(), **(env or {})},
                start_new_session=True,  # Ctrl-C reaches only this process, which stops the others
            )
        self._running.append(process)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not accounting.listens(process.pid, port):
            if process.poll() is not None:
                raise BenchError(
                    f"{arguments[0]} exited with status {process.returncode}{_last_line(log)}"
                )
            if time.monotonic() > deadline:
                raise BenchError(f"{arguments[0]} does not listen{_last_line(log)}")
            time.sleep(0.02)
        return process

    def end(self, process: subprocess.Popen[bytes], signal_number: int = signal.SIGTERM) -> None:
        """Stop one program before the others."""
        stop(process, signal_number)
        self._running.remove(process)

    @property
    def pids(self) -> list[int]:
        """The process IDs of the programs, in the order of their start."""
        return [process.pid for process in self._running]

    def memory(self) -> list[int]:
        """Return the resident bytes of each program."""
        return [accounting.memory_of(pid) for pid in self.pids]


def stop(process: subprocess.Popen[bytes], signal_number: int = signal.SIGTERM) -> None:
    """Stop a process with a signal, or after a timeout with SIGKILL, and kill its descendants."""
    descendants = [_handle(pid) for pid in accounting.processes_below(process.pid)]
    process.send_signal(signal_number)
    try:
        process.wait(START_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for handle in filter(None, descendants):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def _handle(pid: int) -> int | None:
    """Return a descriptor of a process, which no later process with its ID can share."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:  # it has exited
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
    """Raise the descriptor limit of this process and its children as far as possible; return it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted in (max(hard, 65536), hard):
        with contextlib.suppress(ValueError, OSError):  # only root can raise the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _environment() -> dict[str, str]:
    """Return the environment without variables that change the behaviour of competitors."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NETJUMPER") and not name.lower().endswith("_proxy")
    }


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""
