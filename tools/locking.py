"""Write requirements/*.txt again from pyproject.toml: `make lock`.

Each has all that is installed for one purpose, with the hashes of every file of that version, for
every Python and system that is supported. A package has one version in all of them.
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
"""The files and the extras in each; where a dependency group has the file's name, it is added."""
BUILD = "build"
"""The file of what makes the wheel."""


def main(uv: Path) -> None:
    """Write all of them.

    Args:
        uv: the program that does it.

    Raises:
        CalledProcessError: a range of pyproject.toml cannot be resolved; uv has printed the reason.
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


def _write(uv: Path, name: str, sources: list[str], given: str | None = None) -> None:
    subprocess.run(  # noqa: S603 - uv, as make names it
        [
            uv.absolute(), "pip", "compile", *sources, f"--output-file={_file(name)}", "--quiet",
            "--upgrade", "--generate-hashes", "--universal", "--python-version=3.11",
            "--custom-compile-command=make lock", "--no-config",
        ],
        input=given, text=True, cwd=ROOT, check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
