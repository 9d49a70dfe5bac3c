"""requirements/*.txt: what is installed for the image and for CI fits pyproject.toml, by hashes."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from locking import BUILD, EXTRAS, LOCKED

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
NAMES = [BUILD, *EXTRAS]
ENTRY = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[\w.!+-]+)(?: ; [^\\\n]+)?"
    r"(?P<hashes>(?: \\\n    --hash=\S+)*)\n(?: +#.*\n)*"
)


def text_of(name: str) -> str:
    return (ROOT / LOCKED / f"{name}.txt").read_text(encoding="utf-8")


def entries(name: str) -> list[re.Match[str]]:
    """Return all of a file, but for the comments at its top; there is nothing else in it."""
    text = re.sub(r"\A(?:#.*\n)+", "", text_of(name))
    found = list(ENTRY.finditer(text))
    assert "".join(it[0] for it in found) == text
    return found


def locked(name: str) -> dict[str, Version]:
    return {canonicalize_name(it["name"]): Version(it["version"]) for it in entries(name)}


def wanted(name: str) -> list[Requirement]:
    """Return what pyproject.toml wants in a file."""
    if name == BUILD:
        return [Requirement(it) for it in PYPROJECT["build-system"]["requires"]]
    extras = (PROJECT["optional-dependencies"][extra] for extra in EXTRAS[name])
    group = PYPROJECT["dependency-groups"].get(name, ())
    return [Requirement(it) for it in (*PROJECT["dependencies"], *chain(*extras), *group)]


def test_every_dependency_group_is_locked_in_a_file_of_its_name() -> None:
    assert set(PYPROJECT["dependency-groups"]) == {"test", "lint", "fuzz"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_wanted_is_locked_in_a_version_that_fits(name: str) -> None:
    versions = locked(name)
    for it in wanted(name):
        version = versions.get(canonicalize_name(it.name))
        assert version is not None, f"{it} is not in {name}.txt: make lock"
        assert version in it.specifier, f"{name}.txt has {version}, which is not {it}: make lock"


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_is_locked_has_hashes(name: str) -> None:
    for it in entries(name):
        hashes = re.findall(r"--hash=(\S+)", it["hashes"])
        assert hashes, it["name"]
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", hash_) for hash_ in hashes), it["name"]


@pytest.mark.parametrize("name", NAMES)
def test_installer_chooses_the_package_index(name: str) -> None:
    assert not re.search(r"://|--[\w-]*index|--find-links|--trusted-host", text_of(name))


def test_a_package_has_one_version_for_all_purposes() -> None:
    seen: dict[str, Version] = {}
    for name in NAMES:
        for package, version in locked(name).items():
            assert seen.setdefault(package, version) == version, package


def test_the_oldest_python_that_is_locked_for_is_the_oldest_that_is_supported() -> None:
    source = (ROOT / "tools" / "locking.py").read_text(encoding="utf-8")
    (oldest,) = re.findall(r"--python-version=([\d.]+)", source)
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">={oldest}")
