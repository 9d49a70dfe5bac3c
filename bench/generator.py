"""Build the load generator (`bench/load`, in C) and run it for each measurement."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import BenchError, Hosts, Processes, free_port

SOURCES = Path(__file__).parent / "load"
_EXIT_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of one run of the load generator.

    Args:
        samples: number of connections, messages or pages, depending on the mode.
        errors: number of failures.
        seconds: duration.
        size: bytes of bulk data.
        p50: median time of a sample, in seconds.
        p99: 99th percentile of these times, in seconds.
    """

    samples: int
    errors: int
    seconds: float
    size: int = 0
    p50: float = 0.0
    p99: float = 0.0

    @classmethod
    def parse(cls, line: str) -> "Measurement":
        """Parse the generator's line of JSON."""
        fields: dict[str, Any] = json.loads(line)
        return cls(
            samples=fields["samples"],
            errors=fields["errors"],
            seconds=fields["seconds"],
            size=fields.get("bytes", 0),
            p50=fields.get("p50_us", 0.0) / 1e6,
            p99=fields.get("p99_us", 0.0) / 1e6,
        )


def build(folder: Path, compiler: str = "cc") -> Path:
    """Compile the load generator unless it is newer than its sources; return its path.

    Args:
        folder: for the program.
        compiler: the command.

    Raises:
        BenchError: the compiler is missing or fails.
    """
    program = folder / "load"
    sources = sorted(SOURCES.glob("*.c"))
    newest = max(source.stat().st_mtime for source in SOURCES.iterdir())
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run([compiler, "-O2", "-pthread", *sources, "-o", program], check=True)
    except FileNotFoundError:
        raise BenchError(f"{compiler} is missing; on Debian: apt install build-essential") from None
    except subprocess.CalledProcessError:
        raise BenchError("the load generator cannot be compiled") from None
    return program


class Generator:
    """The load generator, at the near end of a path, with a target at the far end.

    Args:
        program: its path.
        hosts: the two ends of the path.
        target: address and port of the target.
    """

    def __init__(self, program: Path, hosts: Hosts, target: str) -> None:
        self._program = program
        self._hosts = hosts
        self._target = target

    def measure(self, mode: str, route: str, *options: str | float) -> Measurement:
        """Run the generator until it exits.

        Args:
            mode: `connect`, `pingpong`, ...; see `load/main.c`.
            route: to the target; see `load/routes.c`.
            options: see `load/load.h`.

        Raises:
            BenchError: it failed or hangs.
        """
        with self._run(mode, route, *options) as process:
            try:
                output = process.communicate(timeout=_timeout(options))[0]
            except subprocess.TimeoutExpired:
                raise BenchError(f"{mode} hangs") from None
        if process.returncode:
            raise BenchError(f"{mode} failed")
        return Measurement.parse(output)

    @contextmanager
    def holding(self, route: str, count: int) -> Iterator[Measurement]:
        """Hold `count` idle connections until the block ends.

        Raises:
            BenchError: the generator failed, or connections had died at the end.
        """
        with self._run("idle", route, "-c", count) as process:
            assert process.stdin is not None  # noqa: S101 - for mypy
            assert process.stdout is not None  # noqa: S101 - for mypy
            line = process.stdout.readline()
            if not line:
                raise BenchError("idle failed")
            yield Measurement.parse(line)
            process.stdin.close()
            if _exit_status(process):
                raise BenchError("some of the idle connections died")

    @contextmanager
    def _run(
        self, mode: str, route: str, *options: str | float
    ) -> Iterator["subprocess.Popen[str]"]:
        arguments = [mode, route, self._target, *map(str, options)]
        with subprocess.Popen(
            [*self._hosts.near.prefix, self._program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def target_running(program: Path, hosts: Hosts, logs: Path) -> Iterator[Generator]:
    """Run the target until the block ends, and yield a load generator for it."""
    port = free_port()
    with Processes(logs, "target") as processes:
        address = f"{hosts.far.address}:{port}"
        processes.start(program, "serve", address, host=hosts.far, port=port)
        yield Generator(program, hosts, address)


def _exit_status(process: "subprocess.Popen[str]") -> int:
    try:
        return process.wait(_EXIT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise BenchError("idle hangs") from None


def _timeout(options: tuple[str | float, ...]) -> float:
    """Return the maximum duration of a run in seconds, with a large margin."""
    values = dict(zip(options[::2], options[1::2], strict=False))
    return float(values.get("-t", 0)) + _EXIT_TIMEOUT_S + (600 if "-n" in values else 0)
