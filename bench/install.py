"""Installs the measured programs that are missing, and reports those that cannot be installed."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import BenchError

ROOT = Path(__file__).parent.parent
BUILT = ROOT / ".bench"
"""What the benchmarks make for themselves; `make clean` removes it."""

PACKAGES = {
    "microsocks": "microsocks",
    "danted": "dante-server",
    "tinyproxy": "tinyproxy-bin",
    "ss-local": "shadowsocks-libev",
    "ss-server": "shadowsocks-libev",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "cc": "build-essential",
    "ip": "iproute2",
}
"""The Debian package of each program."""

ENVIRONMENTS = {
    "asyncio": ("--editable", f"{ROOT}[tls]"),
    "uvloop": ("--editable", f"{ROOT}[tls,uvloop]"),
    # It wants a loop that is there without being made, which newer ones of uvloop do not have.
    "pproxy": ("pproxy[accelerated]", "uvloop<0.22"),
}
"""Virtual environments, and what pip installs into each.

The first two have netjumper without and with uvloop, which it uses wherever it is installed.
"""

_NO_SERVICES = Path("/usr/sbin/policy-rc.d")


def find(program: str) -> str | None:
    """Return where a program is; servers are where an ordinary user does not look."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def install_programs(programs: Iterable[str]) -> list[str]:
    """Install the Debian packages of programs that are missing, where we may.

    Returns:
        Those that are missing still.
    """
    missing = [program for program in programs if find(program) is None]
    packages = sorted({PACKAGES[program] for program in missing})
    if missing and os.geteuid() == 0 and find("apt-get"):
        with _no_service_is_started():
            _run("apt-get", "update", "-qq")
            _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    return [program for program in missing if find(program) is None]


def install_environment(name: str) -> Path:
    """Make one of the `ENVIRONMENTS`, where it is older than our `pyproject.toml`.

    Returns:
        The folder of its commands.

    Raises:
        BenchError: it cannot be made.
    """
    venv = BUILT / name
    done = venv / ".installed"
    if not done.exists() or done.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        pip = (str(venv / "bin/python"), "-m", "pip", "install", "--quiet")
        made = _run(sys.executable, "-m", "venv", str(venv)) and _run(
            *pip, "--disable-pip-version-check", *ENVIRONMENTS[name]
        )
        if not made:
            raise BenchError(f"the environment for {name} cannot be made")
        done.touch()
    return venv / "bin"


def version_of_program(program: str) -> str:
    """Return the version of a program's Debian package, or `unknown`."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", PACKAGES[program]],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout or "unknown"


def version_in_environment(name: str, package: str) -> str:
    """Return the version of a package in one of the `ENVIRONMENTS`, or `unknown`."""
    paths = map(str, (BUILT / name).glob("lib/python*/site-packages"))
    found = importlib.metadata.distributions(name=package, path=list(paths))
    return next((one.version for one in found), "unknown")


@contextmanager
def _no_service_is_started() -> Iterator[None]:
    """Have Debian's packages not start their services; we start what we measure ourselves."""
    ours = not _NO_SERVICES.exists()
    if ours:
        _NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
        _NO_SERVICES.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            _NO_SERVICES.unlink()


def _run(*command: str) -> bool:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        sys.stderr.write(f"{' '.join(command)}:\n{done.stderr}")
    return done.returncode == 0
