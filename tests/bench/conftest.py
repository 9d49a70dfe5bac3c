"""Fixtures: the load generator, built once, with its target on loopback."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.generator import Generator, build, target_running
from bench.processes import Hosts


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The load generator; mark tests that use it with `needs("cc")`."""
    assert shutil.which("cc")
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def generator(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generator]:
    with target_running(program, Hosts(), tmp_path_factory.mktemp("logs")) as it:
        yield it


@pytest.fixture
def own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace installed environments by the commands of the tests' environment."""
    commands = Path(sys.executable).parent
    for module in ("netjumper_modes", "resilience"):
        monkeypatch.setattr(f"bench.{module}.install_environment", lambda _: commands)
