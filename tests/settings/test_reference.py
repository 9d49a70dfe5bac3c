"""docs/settings.md is what the declarations of the settings give."""

import re
from pathlib import Path

import pytest

import settings_reference
from netjumper.settings.loader import MODELS
from netjumper.settings.option import option_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_committed_reference_matches_the_declarations():
    assert DOCUMENT.read_text() == settings_reference.reference(), "type: make generated"


def test_generator_writes_the_reference_into_a_file(tmp_path):
    path = tmp_path / "settings.md"
    assert settings_reference.main(str(path)) == 0
    assert path.read_text() == settings_reference.reference()


@pytest.mark.parametrize("table", MODELS)
def test_every_key_has_a_section_with_its_help(table):
    text = settings_reference.reference().partition(f"table `[{table}]`\n")[2].partition("\n## ")[0]
    sections = dict(re.findall(r"^#### `(\w+)`\n\n(.+?)$", text, re.MULTILINE))
    helps = {key: option_of(info).help for key, info in MODELS[table].model_fields.items()}
    assert {key: it.lower() for key, it in sections.items()} == {
        key: f"{it}.".lower() for key, it in helps.items()
    }
