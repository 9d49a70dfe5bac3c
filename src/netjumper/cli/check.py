"""`--check`: the settings are read, and nothing is started."""

from netjumper.app.daemon_options import daemon_options
from netjumper.cli.output import say
from netjumper.daemon.serve import begin
from netjumper.settings.loader import AnyLoaded


def tell_valid(loaded: AnyLoaded) -> None:
    """Do what `--check` does once the settings were found to be right."""
    begin(daemon_options(loaded))
    say("settings are valid")
