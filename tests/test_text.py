"""Text for messages: escapes, sizes, and numbers with a noun."""

import pytest

from netjumper.text import counted, human_size, printable


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain text, 100 %", "plain text, 100 %"),
        ("größer → größer", "größer → größer"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x7f\x80\x9b", "\\x7f\\x80\\x9b"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("evil\u202etxt.exe", "evil\\u202etxt.exe"),
        ("half\udcff", "half\\udcff"),
        ("", ""),
    ],
)
def test_unprintable_characters_are_escaped(text, escaped):
    assert printable(text) == escaped


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (9951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (268_435_456, "268 MB"),
        (5_000_000_000, "5.0 GB"),
        (7_000_000_000_000_000, "7000 TB"),
    ],
)
def test_sizes_are_rounded_for_humans(count, text):
    assert human_size(count) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 tunnels"), (1, "1 tunnel"), (2, "2 tunnels"), (12_345, "12,345 tunnels")],
)
def test_a_number_has_its_noun_in_singular_or_plural(number, text):
    assert counted(number, "tunnel") == text
