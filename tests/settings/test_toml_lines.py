"""The lines of a TOML file's keys, in every way in which TOML can write them."""

import tomllib
from pathlib import Path

import pytest

from netjumper.settings.toml_lines import key_lines

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", {}),
        ("# only a comment [x]\n\n", {}),
        ("[a]\nx = 1\n\ny = 2", {("a",): 1, ("a", "x"): 2, ("a", "y"): 4}),
        ("\r\n[a]\r\nx = 1\r\n", {("a",): 2, ("a", "x"): 3}),
        ("[ 'a' ] # [b]\n 'x' = 1 # y = 2\n", {("a",): 1, ("a", "x"): 2}),
        ("a.x = 1\na.y = 2\n", {("a",): 1, ("a", "x"): 1, ("a", "y"): 2}),
        ("a = { x = 1, y = [2] }\n", {("a",): 1, ("a", "x"): 1, ("a", "y"): 1}),
        ('["a.b"]\n"x # y" = "]"\nz = 1\n', {("a.b",): 1, ("a.b", "x # y"): 2, ("a.b", "z"): 3}),
        ("[a]\nx = [\n  '[', # ]\n  2,\n]\ny = 1\n", {("a",): 1, ("a", "x"): 2, ("a", "y"): 6}),
        ('[a]\nx = """\n[b]\ny = 1"""\nz = 1\n', {("a",): 1, ("a", "x"): 2, ("a", "z"): 5}),
        ('[a]\nx = """"\\""""""\nz = 1\n', {("a",): 1, ("a", "x"): 2, ("a", "z"): 3}),
        ("[a]\nx = '''\n\\''''\nz = 1\n", {("a",): 1, ("a", "x"): 2, ("a", "z"): 4}),
        ('[a]\nx = ""\ny = "\\\\"\n', {("a",): 1, ("a", "x"): 2, ("a", "y"): 3}),
        ("[[a]]\nx = 1\n[[a]]\nx = 2\n", {("a",): 1, ("a", "x"): 2}),
        ("[a.b]\nx = 1\n[c]\nx = 1\n", {
            ("a",): 1, ("a", "b"): 1, ("a", "b", "x"): 2, ("c",): 3, ("c", "x"): 4,
        }),
    ],
)  # fmt: skip
def test_key_has_the_line_on_which_it_begins(text, lines):
    tomllib.loads(text)  # a text that is not TOML proves nothing
    assert key_lines(text) == lines


def test_every_key_of_the_example_file_is_found():
    text = EXAMPLE.read_text()
    lines = key_lines(text)
    expected = {(table, key) for table, keys in tomllib.loads(text).items() for key in keys}
    assert {path for path in lines if len(path) > 1} == expected
    for path, number in lines.items():
        assert text.splitlines()[number - 1].startswith((f"[{path[0]}]", f"{path[-1]} = "))


def test_long_list_is_read_in_linear_time():
    items = "".join(f'  "host-{number}.example:443",\n' for number in range(50_000))
    assert key_lines(f"[a]\nx = [\n{items}]\ny = 1\n")["a", "y"] == 50_004
