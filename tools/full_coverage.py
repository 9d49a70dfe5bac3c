"""`python tools/full_coverage.py`: check that certain modules are fully covered by the tests.

Run it after the tests with coverage. [tool.netjumper.full-coverage] of pyproject.toml lists the
modules.
"""

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "netjumper"


def main() -> int:
    """Run `coverage report` and return its exit status.

    Raises:
        ValueError: a pattern of pyproject.toml matches no module.
    """
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    required = pyproject["tool"]["netjumper"]["full-coverage"]
    files = sorted(matched(required["include"]) - matched(required["exclude"]))
    include = ",".join(map(str, files))
    command = [sys.executable, "-m", "coverage", "report", "--fail-under=100", "--include", include]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - coverage


def matched(patterns: Sequence[str], package: Path = PACKAGE) -> set[Path]:
    """Return the modules that patterns match.

    Args:
        patterns: paths below `package`; `*` stands for any module of a folder, `**` for any folder.
        package: folder of the package.

    Raises:
        ValueError: a pattern matches no module; a moved module must not go unchecked.
    """
    result = set()
    for pattern in patterns:
        modules = set(package.glob(pattern))
        if not modules:
            raise ValueError(f"{pattern}: no such module in {package.name}")
        result |= modules
    return result


if __name__ == "__main__":
    sys.exit(main())
