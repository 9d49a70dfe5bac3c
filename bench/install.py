"""Install missing programs that are measured, and report those that cannot be installed."""

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
"""Files that the benchmarks make; `make clean` removes them."""

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
    # pproxy expects a current event loop, which newer uvloop does not create by itself.
    "pproxy": ("pproxy[accelerated]", "uvloop<0.22"),
}
"""Virtual environments, and the arguments of `pip install` for each.

The first two have netjumper without and with uvloop, which it uses if it is installed.
"""

_POLICY_FILE = Path("/usr/sbin/policy-rc.d")


def find(program: str) -> str | None:
    """Return the path of a program, also in the folders of servers; None if it is missing."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def install_programs(programs: Iterable[str]) -> list[str]:
    """Install the Debian packages of missing programs, if this process is root.

    Args:
        programs: keys of `PACKAGES`.

    Returns:
        The programs that are still missing.
    """
    missing = [program for program in programs if find(program) is None]
    packages = sorted({PACKAGES[program] for program in missing})
    if missing and os.geteuid() == 0 and find("apt-get"):
        with _services_disabled():
            _run("apt-get", "update", "-qq")
            _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    return [program for program in missing if find(program) is None]


def install_environment(name: str) -> Path:
    """Make one of the `ENVIRONMENTS`, unless it is newer than `pyproject.toml`.

    Args:
        name: key of `ENVIRONMENTS`.

    Returns:
        The folder of its commands.

    Raises:
        BenchError: the environment cannot be made.
    """
    venv = BUILT / name
    stamp = venv / ".installed"
    if not stamp.exists() or stamp.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        pip = (str(venv / "bin/python"), "-m", "pip", "install", "--quiet")
        made = _run(sys.executable, "-m", "venv", str(venv)) and _run(
            *pip, "--disable-pip-version-check", *ENVIRONMENTS[name]
        )
        if not made:
            raise BenchError(f"the environment for {name} cannot be made")
        stamp.touch()
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
    matches = importlib.metadata.distributions(name=package, path=list(paths))
    return next((it.version for it in matches), "unknown")


@contextmanager
def _services_disabled() -> Iterator[None]:
    """Keep Debian's packages from starting services; the benchmarks start their own."""
    is_missing = not _POLICY_FILE.exists()
    if is_missing:
        _POLICY_FILE.write_text("#!/bin/sh\nexit 101\n")
        _POLICY_FILE.chmod(0o755)
    try:
        yield
    finally:
        if is_missing:
            _POLICY_FILE.unlink()


def _run(*command: str) -> bool:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        sys.stderr.write(f"{' '.join(command)}:\n{done.stderr}")
    return done.returncode == 0
