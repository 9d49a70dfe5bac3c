"""What the documentation names exists: modules, folders, public names, error classes."""

import re
from importlib import import_module
from pathlib import Path

import netjumper
from netjumper import errors

DOCS = Path(__file__).parents[2] / "docs"
SOURCE = Path(netjumper.__file__).parent


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def test_every_module_that_the_design_names_exists() -> None:
    modules = ["/" + path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")]
    named = set(re.findall(r"`([\w/]+\.py)`", text("design.md")))
    assert len(named) > 30
    for name in named:
        in_source = any(module.endswith(f"/{name}") for module in modules)
        assert in_source or (DOCS.parent / name).is_file(), name


def test_the_designs_table_of_rooms_has_every_folder() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|", text("design.md"), re.MULTILINE)
    folders = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert sorted(rows) == sorted(folders)


def test_the_api_page_lists_what_the_package_exports() -> None:
    exported = re.search(r"what `netjumper` exports \((.*?)\)", text("api.md"), re.DOTALL)
    assert exported
    assert sorted(re.findall(r"`(\w+)`", exported[1])) == sorted(netjumper.__all__)


def test_the_api_page_lists_the_integrations() -> None:
    listed = re.search(r"`netjumper\.integrations\.\*` \((.*?)\)", text("api.md"), re.DOTALL)
    assert listed
    names = re.findall(r"`(\w+)`", listed[1])
    folder = SOURCE / "integrations"
    assert sorted(names) == sorted(path.stem for path in folder.glob("[!_]*.py"))
    assert all(import_module(f"netjumper.integrations.{name}").__all__ for name in names)


def test_every_error_class_of_the_troubleshooting_page_exists() -> None:
    named = re.findall(r"`([A-Z][a-z]+[A-Z]\w+)(?:`|: )", text("troubleshooting.md"))
    assert len(named) > 20
    for name in named:
        assert issubclass(getattr(errors, name), errors.NetjumperError), name
