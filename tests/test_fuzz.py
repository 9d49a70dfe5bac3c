"""All seeds and past crashes of the fuzz targets, without the fuzzer."""

import importlib
from pathlib import Path

import pytest

from fuzz.targets import CRASHES, SEEDS, TARGETS


def inputs(target: str) -> list[Path]:
    """Return the inputs of a target."""
    return [path for folder in (SEEDS, CRASHES) for path in sorted((folder / target).glob("*"))]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param(target, path, id=f"{target}-{path.parent.parent.name}-{path.name}")
        for target in TARGETS
        for path in inputs(target)
    ],
)
def test_stored_input_passes(target: str, path: Path) -> None:
    importlib.import_module(f"fuzz.{target}").check(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_target_has_seeds(target: str) -> None:
    assert any((SEEDS / target).iterdir())


def test_every_corpus_has_a_target() -> None:
    assert {path.name for folder in (SEEDS, CRASHES) for path in folder.iterdir()} <= set(TARGETS)
