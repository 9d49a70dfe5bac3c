"""Text for messages: quoting, escaping, sizes and counts."""

from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB")


def quoted(text: str, limit: int = 80) -> str:
    """Return untrusted text for a message: control characters escaped, cut at `limit`."""
    return ascii(shortened(text, limit))


def shortened(text: str, limit: int) -> str:
    """Return text of at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable(text: str) -> str:
    """Return `text` with everything that is not printable as a backslash escape.

    That is control characters, line and paragraph separators, marks that turn the direction
    of writing around, and halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def human_size(count: int) -> str:
    """Return a number of bytes for reading: `0 B`, `1.5 kB`, `268 MB` (1 kB is 1,000 bytes)."""
    size = float(count)
    for unit in _UNITS:
        if size < 999.5 or unit == _UNITS[-1]:
            break
        size /= 1000
    return f"{size:.1f} {unit}" if unit != "B" and size < 9.95 else f"{size:.0f} {unit}"


def alternatives(words: Sequence[str]) -> str:
    """Return words to choose from as part of a sentence: `a, b or c`."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural: `1 tunnel`, `12,345 tunnels`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"
