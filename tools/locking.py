"""`make lock`: update requirements/*.txt from pyproject.toml.

Each file lists all packages for one purpose, with the hashes of all their files, for all supported
Python versions and systems. A package has the same version in all files.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKED = Path("requirements")
EXTRAS: dict[str, tuple[str, ...]] = {
    "run": ("uvloop",),
    "test": ("aiohttp", "httpx", "requests", "tls", "urllib3"),
    "lint": (),
    "fuzz": (),
}
"""The files with their extras; a dependency group with the name of a file is added to it."""
BUILD = "build"
"""The file of the packages that build the wheel."""


def main(uv: Path) -> None:
    """Write all files.

    Args:
        uv: path of uv.

    Raises:
        CalledProcessError: the ranges of pyproject.toml cannot be resolved; uv prints the reason.
    """
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    _write(uv, BUILD, ["-"], "\n".join(pyproject["build-system"]["requires"]))
    written = [BUILD]
    for name, extras in EXTRAS.items():
        sources = ["pyproject.toml", *(f"--extra={it}" for it in extras)]
        if name in pyproject["dependency-groups"]:
            sources.append(f"--group={name}")
        _write(uv, name, [*sources, *(f"--constraint={_file(it)}" for it in written)])
        written.append(name)


def _file(name: str) -> Path:
    return LOCKED / f"{name}.txt"


def _write(uv: Path, name: str, sources: list[str], standard_input: str | None = None) -> None:
    subprocess.run(  # noqa: S603 - uv, as make names it
        [
            uv.absolute(), "pip", "compile", *sources, f"--output-file={_file(name)}", "--quiet",
            "--upgrade", "--generate-hashes", "--universal", "--python-version=3.11",
            "--custom-compile-command=make lock", "--no-config",
        ],
        input=standard_input, text=True, cwd=ROOT, check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
