"""The texts around the options in a help: blocks, filled for people."""

import pytest

from netjumper.cli.help_formatter import Block, Example, HelpFormatter, blocks

TEXT = """\
examples:
  one --flag \\
      --other
      what it does,
      in two lines
  two

  three
      told later

A paragraph of
two lines.

a section:
  Of prose
  in two lines.
"""


def test_a_text_is_read_as_blocks():
    assert blocks(TEXT) == [
        Block(
            "examples",
            "",
            (
                Example(("one --flag \\", "    --other"), "what it does, in two lines"),
                Example(("two",), ""),
            ),
        ),
        Block("", "", (Example(("three",), "told later"),)),
        Block("", "A paragraph of two lines."),
        Block("a section", "Of prose in two lines."),
    ]


def test_a_paragraph_that_ends_with_a_colon_is_no_section():
    assert blocks("as follows:\nthis") == [Block("", "as follows: this")]


def test_prose_is_filled_and_examples_stay_as_they_are_typed():
    filled = [block.filled(20) for block in blocks(TEXT)]
    assert filled[0] == (
        "examples:\n  one --flag \\\n      --other\n      what it does,\n      in two lines\n  two"
    )
    assert filled[1:] == [
        "  three\n      told later",
        "A paragraph of two\nlines.",
        "a section:\n  Of prose in two\n  lines.",
    ]


def test_no_option_is_cut_at_its_hyphens():
    block = Block("", "see the option --handshake-timeout")
    assert block.filled(28).splitlines() == ["see the option", "--handshake-timeout"]


@pytest.mark.parametrize(("columns", "widest"), [("50", 48), ("300", 100)])
def test_a_help_is_as_wide_as_the_terminal_and_no_wider_than_is_good(columns, widest, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    formatter = HelpFormatter("prog")
    formatter.add_text("word " * 100)
    lines = formatter.format_help().splitlines()
    assert widest - 5 < len(lines[0]) <= widest
