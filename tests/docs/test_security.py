"""docs/security.md names the tests that show what it claims: they exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOC = TESTS.parent / "docs" / "security.md"


def test_every_test_that_the_threat_model_names_exists():
    named = re.findall(r"`(?:tests/)?([\w/]+\.py)(?:::(\w+))?`", DOC.read_text())
    assert len(named) > 10
    for file, name in named:
        assert (TESTS / file).is_file(), file
        assert not name or f"def {name}(" in (TESTS / file).read_text(), name
