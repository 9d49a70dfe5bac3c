"""`--check`: the settings are read, and nothing is started."""

from netjumper.cli.output import say
from netjumper.daemon.serve import AnyLoaded, begin


def tell_valid(loaded: AnyLoaded) -> None:
    """Do what `--check` does once the settings were found to be right."""
    begin(loaded)
    say("settings are valid")
