"""The modules that must be covered whole: the patterns of pyproject.toml find them."""

import tomllib
from pathlib import Path

import pytest

from full_coverage import PACKAGE, ROOT, matched

DEMAND = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["netjumper"]["full-coverage"]


@pytest.mark.parametrize("pattern", [*DEMAND["include"], *DEMAND["exclude"]])
def test_every_pattern_finds_modules(pattern: str) -> None:
    assert matched([pattern])


@pytest.mark.parametrize("room", ["addressing", "protocol", "server", "bridge/http"])
def test_the_protocols_and_rules_are_demanded_but_for_few_modules(room: str) -> None:
    demanded = matched(DEMAND["include"]) - matched(DEMAND["exclude"])
    assert len({it for it in (PACKAGE / room).glob("*.py") if it not in demanded}) <= 1


def test_a_pattern_takes_folders_and_modules(tmp_path: Path) -> None:
    for name in ("one.py", "room/two.py", "room/inner/three.py", "other/four.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert matched(["*.py", "room/**/*.py"], tmp_path) == {
        tmp_path / "one.py",
        tmp_path / "room/two.py",
        tmp_path / "room/inner/three.py",
    }


def test_a_pattern_that_finds_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "here.py").touch()
    with pytest.raises(ValueError, match=r"gone\.py: no such module"):
        matched(["here.py", "gone.py"], tmp_path)
