"""Fuzzes targets, several at a time, and reports the results: `python -m fuzz [TARGET ...]`.

What is found to be new is kept below .fuzz/ for the next run; what crashes a target is written to
fuzz/crashes/TARGET/.
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
FOUND = ROOT / ".fuzz"
MAX_LENGTH = 2048
"""Bytes of an input: what is longer finds little more, and takes its time byte by byte."""
SLOW = 60
"""Seconds that one input may take; many, as the machine may be busy with something else."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and return the exit code: 1 if there was a crash."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the parsers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time (default: cores)"
    )
    arguments = parser.parse_args(argv)
    targets = arguments.targets or TARGETS
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"no target: {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        passed = list(pool.map(lambda target: _fuzz(target, arguments.seconds), targets))
    return 0 if all(passed) else 1


def _fuzz(target: str, seconds: int) -> bool:
    """Fuzz one target, print what became of it, and return whether nothing crashed."""
    found, crashes = FOUND / target, CRASHES / target
    found.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    log = FOUND / f"{target}.log"
    with log.open("wb") as output:
        code = subprocess.run(
            [
                *(sys.executable, "-m", "fuzz.under_atheris", target, str(found)),
                *(str(SEEDS / target), str(crashes)),
                f"-max_total_time={seconds}",
                f"-max_len={MAX_LENGTH}",
                f"-timeout={SLOW}",
                f"-report_slow_units={SLOW}",
                f"-artifact_prefix={crashes}/",
                "-print_final_stats=1",
            ],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    sys.stdout.write(f"{_summary(target, log, code)}\n")
    sys.stdout.flush()
    return code == 0


def _summary(target: str, log: Path, code: int) -> str:
    """Return one line for a target that is through, and all it said for one that crashed."""
    lines = log.read_text("utf-8", "replace").splitlines()
    if code != 0:
        return "\n".join([f"{target}: crashed", *(f"  {line}" for line in lines[-40:])])
    coverage = [line for line in lines if " cov: " in line]
    done = next((line for line in lines if line.startswith("Done ")), "")
    first, last = (_words_behind(it, "cov:") for it in (coverage[0], coverage[-1]))
    return f"{target}: {done}; coverage {first} at the start, {last} at the end"


def _words_behind(line: str, word: str) -> str:
    words = line.split()
    return words[words.index(word) + 1]


if __name__ == "__main__":
    sys.exit(main())
