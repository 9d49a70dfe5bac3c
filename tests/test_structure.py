"""`make structure`: the limits hold, and each is found where it is exceeded."""

from pathlib import Path

import pytest

from structure import PACKAGE, Count, counts_of

CIRCLE = "circles of imports"


def exceeded(package: Path) -> list[str]:
    return [it.what for it in counts_of(package) if it.value > it.limit]


def write(package: Path, **modules: str) -> Path:
    for name, text in modules.items():
        path = package.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def short(package: Path) -> Path:
    return write(package, one="def f():\n    pass\n")


@pytest.mark.parametrize("count", list(counts_of(PACKAGE)), ids=lambda it: it.what)
def test_netjumper_stays_within_the_limits(count: Count) -> None:
    assert count.value <= count.limit, count.where


def test_small_package_exceeds_nothing(tmp_path: Path) -> None:
    assert exceeded(short(tmp_path / "p")) == []


def test_ninth_module_in_the_root_is_found(tmp_path: Path) -> None:
    package = write(short(tmp_path / "p"), **{f"m{number}": "" for number in range(8)})
    assert exceeded(package) == ["modules in the package's own folder"]


def test_overfull_folder_is_found(tmp_path: Path) -> None:
    package = write(short(tmp_path / "p"), **{f"room__m{number}": "" for number in range(21)})
    assert exceeded(package) == ["files in a folder"]


def test_chain_of_13_files_is_found(tmp_path: Path) -> None:
    chain = {f"room__m{number}": f"from p.room import m{number + 1}\n" for number in range(12)}
    package = write(short(tmp_path / "p"), room__m12="", **chain)
    assert exceeded(package) == ["files in a chain of imports"]


@pytest.mark.parametrize(
    "back",
    [
        "import p.one\n",
        "def f():\n    from p import one\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.one import f\n",
    ],
)
def test_circle_is_found(back: str, tmp_path: Path) -> None:
    package = write(tmp_path / "p", one="import p.two\ndef f(): ...\n", two=back)
    assert exceeded(package) == [CIRCLE]


def test_long_file_is_found(tmp_path: Path) -> None:
    assert exceeded(write(short(tmp_path / "p"), two="\n" * 321)) == ["lines in a file"]


def test_long_function_is_found(tmp_path: Path) -> None:
    body = "    pass\n" * 50
    package = write(short(tmp_path / "p"), two=f"class A:\n  def g(self):\n{body}")
    assert exceeded(package) == ["lines in a function"]
