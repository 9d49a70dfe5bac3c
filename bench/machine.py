"""The machine that a benchmark ran on, for the reader of its figures."""

import datetime as dt
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.install import ROOT, version_in_environment, version_of_program


def machine() -> dict[str, str]:
    """Describe this machine, and the day."""
    memory = re.search(r"^MemTotal:\s+(\d+)", _read("/proc/meminfo"), re.MULTILINE)
    model = re.search(r"^model name\s*: (.*)", _read("/proc/cpuinfo"), re.MULTILINE)
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "processor": model[1].strip() if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{round(int(memory[1]) / 2**20)} GiB" if memory else "unknown",
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def versions(programs: Iterable[str], environments: Iterable[str]) -> dict[str, str]:
    """Return the versions of what is measured.

    Args:
        programs: of `installing.PACKAGES`.
        environments: of `installing.ENVIRONMENTS`.
    """
    found = {program: version_of_program(program) for program in sorted(programs)}
    for name in environments:
        package = "pproxy" if name == "pproxy" else "netjumper"
        found[package] = version_in_environment(name, package)
        if name == "uvloop":
            found["uvloop"] = version_in_environment(name, "uvloop")
    found["netjumper"] = f"{found.get('netjumper', 'unknown')} ({_commit()})"
    found["Python"] = platform.python_version()
    return found


def _commit() -> str:
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "no git"
    return done.stdout.strip() or "no commit"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
