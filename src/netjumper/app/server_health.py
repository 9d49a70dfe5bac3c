"""Checks a jump server on this machine, for the health checks of both commands."""

from netjumper.diagnostics.listener_check import SERVER, check_listeners
from netjumper.settings.loader import load
from netjumper.settings.server import RunningServer
from netjumper.settings.sources import CommandLine

_RESETS = " (connection reset: this address is banned, or too many connections are unauthenticated)"
"""A reset counts as an answer: a server that hangs, or does not run, sends none.

A banned address gets one, even this machine's own: if a port is forwarded here, failed
authentications from elsewhere seem to come from this machine. That is no reason to restart the
service.
"""


def check_jump_server(given: CommandLine) -> list[str]:
    """Check every listener, and return a text for each.

    Args:
        given: what the command line gave.

    Raises:
        Unhealthy: a listener does not answer.
        SettingsError: settings are wrong.
    """
    settings = load(RunningServer, given).settings
    return check_listeners(SERVER, settings.listeners, settings.dial_timeout, _RESETS)
