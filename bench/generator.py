"""The load generator (`bench/load`, in C): built where it is used, run for each cell."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import BenchError, Hosts, Processes, free_port

SOURCES = Path(__file__).parent / "load"
_SPARE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Measured:
    """What the load generator found.

    Args:
        samples: connections, messages or pages, as the mode has it.
        errors: how many failed.
        seconds: how long it took.
        size: bytes of bulk data.
        p50: half of the samples took at most so many seconds.
        p99: the same for 99 of 100.
    """

    samples: int
    errors: int
    seconds: float
    size: int = 0
    p50: float = 0.0
    p99: float = 0.0

    @classmethod
    def parse(cls, line: str) -> "Measured":
        """Parse the line of JSON."""
        found: dict[str, Any] = json.loads(line)
        return cls(
            samples=found["samples"],
            errors=found["errors"],
            seconds=found["seconds"],
            size=found.get("bytes", 0),
            p50=found.get("p50_us", 0.0) / 1e6,
            p99=found.get("p99_us", 0.0) / 1e6,
        )


def build(folder: Path, compiler: str = "cc") -> Path:
    """Compile it, where it is older than its sources, and return where it is.

    Raises:
        BenchError: there is no compiler, or it fails.
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
        program: where it is.
        ground: the two ends.
        target: the target's address and port.
    """

    def __init__(self, program: Path, hosts: Hosts, target: str) -> None:
        self._program = program
        self._hosts = hosts
        self._target = target

    def measure(self, mode: str, way: str, *options: str | float) -> Measured:
        """Run it to its end.

        Args:
            mode: `connect`, `pingpong`, ...; see `load/main.c`.
            way: how to reach the target; see `load/ways.c`.
            options: see `load/load.h`.

        Raises:
            BenchError: it failed.
        """
        with self._started(mode, way, *options) as process:
            try:
                out = process.communicate(timeout=_limit(options))[0]
            except subprocess.TimeoutExpired:
                raise BenchError(f"{mode} hangs") from None
        if process.returncode:
            raise BenchError(f"{mode} failed")
        return Measured.parse(out)

    @contextmanager
    def holding(self, way: str, count: int) -> Iterator[Measured]:
        """Hold idle connections while the block runs.

        Raises:
            BenchError: it failed, or some were dead at the end.
        """
        with self._started("idle", way, "-c", count) as process:
            assert process.stdin is not None  # noqa: S101 - for mypy
            assert process.stdout is not None  # noqa: S101 - as above
            line = process.stdout.readline()
            if not line:
                raise BenchError("idle failed")
            yield Measured.parse(line)
            process.stdin.close()
            if _status(process):
                raise BenchError("some of the idle connections died")

    @contextmanager
    def _started(
        self, mode: str, way: str, *options: str | float
    ) -> Iterator["subprocess.Popen[str]"]:
        words = [mode, way, self._target, *map(str, options)]
        with subprocess.Popen(
            [*self._hosts.near.prefix, self._program, *words],
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
    """Run the target, and yield a generator for it."""
    port = free_port()
    with Processes(logs, "target") as runner:
        listening = f"{hosts.far.address}:{port}"
        runner.start(program, "serve", listening, host=hosts.far, port=port)
        yield Generator(program, hosts, listening)


def _status(process: "subprocess.Popen[str]") -> int:
    try:
        return process.wait(_SPARE_SECONDS)
    except subprocess.TimeoutExpired:
        raise BenchError("idle hangs") from None


def _limit(options: tuple[str | float, ...]) -> float:
    """Return how many seconds a run can take: what it was given, and a large margin."""
    message = dict(zip(options[::2], options[1::2], strict=False))
    return float(message.get("-t", 0)) + _SPARE_SECONDS + (600 if "-n" in message else 0)
