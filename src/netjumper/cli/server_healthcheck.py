"""`netjumper healthcheck`: checks that the jump server on this machine answers."""

from collections.abc import Sequence

from netjumper.app.server_health import check_jump_server
from netjumper.cli import server
from netjumper.cli.arguments import SETTINGS_HELP, Parser, add_config, add_settings, command_line_of
from netjumper.cli.output import print_line
from netjumper.daemon import process
from netjumper.diagnostics.listener_check import SERVER, Unhealthy, running_service
from netjumper.errors import SettingsError
from netjumper.settings.server import ServerSettings

_EXAMPLES = """\
examples:
  netjumper healthcheck
      check the listeners that the settings name; the exit status is 0 or 1
  netjumper healthcheck --listen 192.0.2.7:9527
  netjumper healthcheck --running
      check the jump server that runs here, at the addresses of its command line

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper healthcheck`."""
    parser = Parser(
        "netjumper healthcheck",
        "Checks that the jump server on this machine answers. Needs no secret.",
        _EXAMPLES + SETTINGS_HELP.format(table=ServerSettings.table),
    )
    parser.add_argument(
        "--running",
        action="store_true",
        help="use the command line of the netjumper that runs here",
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
        given = command_line_of(arguments, ServerSettings)
        if hasattr(arguments, "running"):
            given = given.over(server.given_by(running_service(SERVER)[1]))
        print_line(f"healthy: {', '.join(check_jump_server(given))}")
    except SettingsError as error:
        raise Unhealthy("; ".join(error.lines)) from None
    return process.OK
