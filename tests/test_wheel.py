"""The wheel: what it installs beside the package, and what it asks of others."""

import subprocess
import sys
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
COMPLETIONS = Path("src/netjumper/cli/completions")
INSTALLED = {
    "share/man/man1": Path("docs/man"),
    "share/bash-completion/completions": COMPLETIONS / "bash",
    "share/zsh/site-functions": COMPLETIONS / "zsh",
    "share/fish/vendor_completions.d": COMPLETIONS / "fish",
}
"""Where programs look for their files, below any prefix, and where the repository has those."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", folder], cwd=ROOT, check=True, timeout=50)
    (path,) = folder.iterdir()
    with ZipFile(path) as wheel:
        yield wheel


def metadata(wheel: ZipFile) -> dict[str, list[str]]:
    (name,) = (it for it in wheel.namelist() if it.endswith(".dist-info/METADATA"))
    headers = HeaderParser().parsestr(wheel.read(name).decode())
    return {key: headers.get_all(key, []) for key in ("Requires-Dist", "Provides-Extra")}


@pytest.mark.parametrize("folder", list(INSTALLED))
def test_shared_files_are_installed_where_programs_look(wheel: ZipFile, folder: str) -> None:
    installed = {
        name.rpartition("/")[2]: wheel.read(name)
        for name in wheel.namelist()
        if f".data/data/{folder}/" in name
    }
    assert installed
    assert installed == {it.name: it.read_bytes() for it in (ROOT / INSTALLED[folder]).iterdir()}


def test_nothing_else_is_installed_beside_the_package(wheel: ZipFile) -> None:
    folders = {name.rpartition("/")[0] for name in wheel.namelist() if ".data/" in name}
    assert {name.partition(".data/data/")[2] for name in folders} == set(INSTALLED)


def test_the_package_has_what_the_sub_command_completion_prints(wheel: ZipFile) -> None:
    committed = {it.relative_to(ROOT / "src") for it in (ROOT / COMPLETIONS).glob("*/*")}
    assert {str(it) for it in committed} <= set(wheel.namelist())


def test_wheel_needs_few_packages_and_none_for_development(wheel: ZipFile) -> None:
    wanted = [Requirement(it) for it in metadata(wheel)["Requires-Dist"]]
    always = {it.name for it in wanted if it.marker is None}
    assert always == {"h11", "pydantic-settings", "rich", "segno"}
    assert not {it.name for it in wanted} & {"pytest", "mypy", "ruff", "atheris", "shtab"}


def test_its_extras_are_for_users(wheel: ZipFile) -> None:
    extras = {"aiohttp", "httpx", "requests", "tls", "urllib3", "uvloop"}
    assert set(metadata(wheel)["Provides-Extra"]) == extras
