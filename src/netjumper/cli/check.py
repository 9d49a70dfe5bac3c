"""`--check`: reads the settings, prints those given with their origins, and starts nothing."""

from netjumper.cli.output import print_line
from netjumper.settings.loaded import AnyLoaded
from netjumper.text import printable

HIDDEN = "(hidden)"
"""Stands for a secret."""


def report_valid(loaded: AnyLoaded) -> None:
    """Print each setting that is not a default, and which settings file was read.

    Raises:
        OutputError: standard output cannot be written to.
    """
    for key, origin in sorted(loaded.origins.items()):
        hidden = key in loaded.settings.private
        value = HIDDEN if hidden else _written(getattr(loaded.settings, key))
        print_line(printable(f"{key} = {value}  # {origin.place}"))
    file = f"settings file: {loaded.file}" if loaded.file else "no settings file"
    print_line(f"settings are valid; {file}")


def _written(value: object) -> str:
    """Return a value for people; a jump host is written without its secret."""
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value) or "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
