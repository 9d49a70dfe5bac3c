"""Report on the modules that must be covered whole, and fail where one is not.

`python tools/full_coverage.py`, after the tests were run with coverage. Which modules these are is
in pyproject.toml, [tool.netjumper.full-coverage].
"""

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "netjumper"


def main() -> int:
    """Run `coverage report` and return its exit code.

    Raises:
        ValueError: a pattern of pyproject.toml matches nothing.
    """
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    demand = pyproject["tool"]["netjumper"]["full-coverage"]
    files = sorted(matched(demand["include"]) - matched(demand["exclude"]))
    include = ",".join(map(str, files))
    command = [sys.executable, "-m", "coverage", "report", "--fail-under=100", "--include", include]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - coverage


def matched(patterns: Sequence[str], package: Path = PACKAGE) -> set[Path]:
    """Return the modules that patterns match.

    Args:
        patterns: paths below `package`; `*` stands for any module of a folder, `**` for any folder.
        package: where to look.

    Raises:
        ValueError: one matches nothing: a module was moved, and its demand would be lost.
    """
    found = set()
    for pattern in patterns:
        modules = set(package.glob(pattern))
        if not modules:
            raise ValueError(f"{pattern}: no such module in {package.name}")
        found |= modules
    return found


if __name__ == "__main__":
    sys.exit(main())
