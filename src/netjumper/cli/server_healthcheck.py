"""`netjumper healthcheck`: checks that the jump server on this machine answers."""

from collections.abc import Sequence

from netjumper.cli.arguments import SETTINGS_HELP, Parser, add_config, add_settings, command_line_of
from netjumper.cli.output import print_line
from netjumper.daemon import process
from netjumper.diagnostics.listener_check import SERVER, Unhealthy, check_listeners
from netjumper.errors import SettingsError
from netjumper.settings.loader import load
from netjumper.settings.server import RunningServer, ServerSettings
from netjumper.settings.sources import CommandLine

_EXAMPLES = """\
examples:
  netjumper healthcheck
      check the listeners that the settings name; the exit status is 0 or 1
  netjumper healthcheck --listen 192.0.2.7:9527

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper healthcheck`."""
    parser = Parser(
        "netjumper healthcheck",
        "Checks that the jump server on this machine answers. Needs no secret.",
        _EXAMPLES + SETTINGS_HELP.format(table=ServerSettings.table),
    )
    add_settings(parser, ServerSettings)
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Check every listener, print one line, and return 0.

    Raises:
        Unhealthy: a listener does not answer, or settings are wrong: a health check may exit only
            with 0 or 1.
    """
    try:
        arguments = build_parser().parse_args(words)
        return check(command_line_of(arguments, ServerSettings))
    except SettingsError as error:
        raise Unhealthy("; ".join(error.lines)) from None


def check(given: CommandLine) -> int:
    """Check every listener, print one line, and return 0.

    Args:
        given: what the command line gave.

    Raises:
        Unhealthy: a listener does not answer.
        SettingsError: settings are wrong.
    """
    settings = load(RunningServer, given).settings
    answered = check_listeners(SERVER, settings.listeners, settings.dial_timeout, _RESETS)
    print_line(f"healthy: {', '.join(answered)}")
    return process.OK


_RESETS = " (connection reset: this address is banned, or too many connections are unauthenticated)"
"""A reset counts as an answer: a server that hangs, or does not run, sends none.

A banned address gets one, even this machine's own: if a port is forwarded here, failed
authentications from elsewhere seem to come from this machine. That is no reason to restart the
service.
"""
