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
      used later

A paragraph of
two lines.

a section:
  Of prose
  in two lines.
"""


def test_text_is_parsed_into_blocks():
    assert blocks(TEXT) == [
        Block(
            "examples",
            "",
            (
                Example(("one --flag \\", "    --other"), "what it does, in two lines"),
                Example(("two",), ""),
            ),
        ),
        Block("", "", (Example(("three",), "used later"),)),
        Block("", "A paragraph of two lines."),
        Block("a section", "Of prose in two lines."),
    ]


def test_colon_at_a_line_end_alone_makes_no_section():
    assert blocks("as follows:\nthis") == [Block("", "as follows: this")]


def test_prose_is_filled_and_examples_are_kept():
    filled = [block.filled(20) for block in blocks(TEXT)]
    assert filled[0] == (
        "examples:\n  one --flag \\\n      --other\n      what it does,\n      in two lines\n  two"
    )
    assert filled[1:] == [
        "  three\n      used later",
        "A paragraph of two\nlines.",
        "a section:\n  Of prose in two\n  lines.",
    ]


def test_option_is_not_split_at_hyphens():
    block = Block("", "see the option --handshake-timeout")
    assert block.filled(28).splitlines() == ["see the option", "--handshake-timeout"]


@pytest.mark.parametrize(("columns", "widest"), [("50", 48), ("300", 100)])
def test_help_is_as_wide_as_the_terminal_up_to_a_limit(columns, widest, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    formatter = HelpFormatter("prog")
    formatter.add_text("word " * 100)
    lines = formatter.format_help().splitlines()
    assert widest - 5 < len(lines[0]) <= widest
