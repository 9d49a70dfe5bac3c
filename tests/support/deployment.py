"""Helpers of the scripts that test containers and units; they need only Python itself."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60.0
"""Maximum time until an expected state."""


class Failed(Exception):
    """A check failed."""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def expect(condition: object, message: str) -> None:
    if not condition:
        raise Failed(message)


def run(*command: str, ok: bool | None = True, env: dict[str, str] | None = None) -> str:
    """Run a program and return its output.

    Args:
        command: the program and its arguments.
        ok: whether it must succeed or must fail; None accepts both.
        env: variables to add.
    """
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
        cwd=ROOT,
        check=False,
    )
    if ok not in (None, done.returncode == 0):
        raise Failed(f"{shlex.join(command)} exited with status {done.returncode}:\n{done.stdout}")
    return done.stdout


def works(*command: str) -> bool:
    """Run a program and return whether it is installed and succeeded."""
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def eventually(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        expect(time.monotonic() < deadline, f"{what}: not within {TIMEOUT_S:g} s")
        time.sleep(0.1)
