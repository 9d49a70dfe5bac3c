"""`netjumper healthcheck`: does the jump server on this machine give its challenge?"""

from collections.abc import Sequence

from netjumper.cli.arguments import PLACES, Parser, add_config, add_settings, command_line_of
from netjumper.cli.output import say
from netjumper.daemon import process
from netjumper.diagnostics.listener_check import SERVER, Unhealthy, check_listeners
from netjumper.errors import SettingsError
from netjumper.settings.loader import load
from netjumper.settings.server import RunningServer, ServerSettings
from netjumper.settings.sources import CommandLine

_EXAMPLES = """\
examples:
  netjumper healthcheck
      ask where the settings say that it listens; the exit status is 0 or 1
  netjumper healthcheck --listen 192.0.2.7:9527

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper healthcheck`."""
    parser = Parser(
        "netjumper healthcheck",
        "Asks the jump server that runs on this machine whether it answers. Needs no secret.",
        _EXAMPLES + PLACES.format(table=ServerSettings.table),
    )
    add_settings(parser, ServerSettings)
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Ask, tell in one line, and return 0.

    Raises:
        Unhealthy: a listener does not answer, or settings are wrong: what runs a healthcheck
            takes 0 and 1 only.
    """
    try:
        arguments = build_parser().parse_args(words)
        return check(command_line_of(arguments, ServerSettings))
    except SettingsError as error:
        raise Unhealthy("; ".join(error.lines)) from None


def check(given: CommandLine) -> int:
    """Ask every listener, tell in one line, and return 0.

    Args:
        given: what the command line gave.

    Raises:
        Unhealthy: one does not answer.
        SettingsError: settings are wrong.
    """
    settings = load(RunningServer, given).settings
    answered = check_listeners(SERVER, settings.listeners, settings.dial_timeout, _RESETS)
    say(f"healthy: {', '.join(answered)}")
    return process.OK


_RESETS = " (resets: this address is shut out after wrong answers, or others take its place)"
"""What a reset tells, which is an answer, too: who hangs, or is not there, gives none.

An address gets one that is shut out, be it this machine's own: strangers' wrong answers look like
its own where a port is forwarded here. Nobody is to restart a service for that.
"""
