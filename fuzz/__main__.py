"""`python -m fuzz [TARGET ...]`: fuzz targets in parallel and report the results.

Inputs with new coverage are kept in `.fuzz/TARGET` for the next run; an input that crashes a target
is written to `fuzz/crashes/TARGET`.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz.targets import CRASHES, HERE, SEEDS, TARGETS

ROOT = HERE.parent
CORPUS = ROOT / ".fuzz"
MAX_INPUT_BYTES = 2048
"""Longer inputs find little more, and are slow byte by byte."""
INPUT_TIMEOUT_S = 60
"""Maximum time for one input; long, because the machine can be busy."""


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz, and return the exit status: 1 if a target crashed."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the parsers.")
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(TARGETS)} (default: all)"
    )
    parser.add_argument(
        "--seconds", type=int, default=60, help="time for each target (default: 60)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="targets in parallel (default: number of cores)",
    )
    arguments = parser.parse_args(argv)
    targets = arguments.targets or TARGETS
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"unknown target: {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        passed = list(pool.map(lambda target: _fuzz(target, arguments.seconds), targets))
    return 0 if all(passed) else 1


def _fuzz(target: str, seconds: int) -> bool:
    """Fuzz one target, print the result, and return whether it did not crash."""
    corpus, crashes = CORPUS / target, CRASHES / target
    corpus.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    log = CORPUS / f"{target}.log"
    with log.open("wb") as output:
        status = subprocess.run(
            [
                *(sys.executable, "-m", "fuzz.under_atheris", target, str(corpus)),
                *(str(SEEDS / target), str(crashes)),
                f"-max_total_time={seconds}",
                f"-max_len={MAX_INPUT_BYTES}",
                f"-timeout={INPUT_TIMEOUT_S}",
                f"-report_slow_units={INPUT_TIMEOUT_S}",
                f"-artifact_prefix={crashes}/",
                "-print_final_stats=1",
            ],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    sys.stdout.write(f"{_summary(target, log, status)}\n")
    sys.stdout.flush()
    return status == 0


def _summary(target: str, log: Path, status: int) -> str:
    """Return one line for a target that passed, or the end of its log if it crashed."""
    lines = log.read_text("utf-8", "replace").splitlines()
    if status != 0:
        return "\n".join([f"{target}: crashed", *(f"  {line}" for line in lines[-40:])])
    coverage = [line for line in lines if " cov: " in line]
    done = next((line for line in lines if line.startswith("Done ")), "")
    first, last = (_word_after(it, "cov:") for it in (coverage[0], coverage[-1]))
    return f"{target}: {done}; coverage {first} at the start, {last} at the end"


def _word_after(line: str, word: str) -> str:
    words = line.split()
    return words[words.index(word) + 1]


if __name__ == "__main__":
    sys.exit(main())
