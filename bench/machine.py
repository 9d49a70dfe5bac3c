"""Describe the machine and the programs of a benchmark, for readers of its figures."""

import datetime as dt
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.install import ROOT, version_in_environment, version_of_program


def machine() -> dict[str, str]:
    """Return the properties of this machine and the date, by name."""
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
    """Return the versions of the measured programs, by name.

    Args:
        programs: keys of `install.PACKAGES`.
        environments: keys of `install.ENVIRONMENTS`.
    """
    result = {program: version_of_program(program) for program in sorted(programs)}
    for name in environments:
        package = "pproxy" if name == "pproxy" else "netjumper"
        result[package] = version_in_environment(name, package)
        if name == "uvloop":
            result["uvloop"] = version_in_environment(name, "uvloop")
    result["netjumper"] = f"{result.get('netjumper', 'unknown')} ({_commit()})"
    result["Python"] = platform.python_version()
    return result


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "no git"
    return done.stdout.strip() or "no commit"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
