"""`netjumper healthcheck`: does the jump server on this machine give its challenge?"""

import socket
from collections.abc import Sequence

from netjumper.cli import process
from netjumper.cli.asking import SERVER, Unhealthy, ask, received
from netjumper.cli.options import PLACES, Flags, Parser, layer_of
from netjumper.cli.sources import Layer, load
from netjumper.settings import ServerSettings, SettingsError
from netjumper.wire import CHALLENGE_SIZE

_EXAMPLES = """\
examples:
  netjumper healthcheck
      ask where the settings say that it listens; the exit status is 0 or 1
  netjumper healthcheck --listen 192.0.2.7:9527

"""


class RunningServer(ServerSettings):
    """The settings for speaking with a jump server that runs: the secret is its own affair."""

    @property
    def _needs_secret(self) -> bool:
        return False


def build_parser() -> Parser:
    """Return the parser of `netjumper healthcheck`."""
    parser = Parser(
        "netjumper healthcheck",
        "Asks the jump server that runs on this machine whether it answers. Needs no secret.",
        _EXAMPLES + PLACES.format(table=ServerSettings.table),
    )
    flags = Flags(parser, ServerSettings)
    flags.group("where the jump server listens", "listen")
    flags.group("timeouts", "dial_timeout")
    flags.config()
    return parser


def run(words: Sequence[str]) -> int:
    """Ask, tell in one line, and return 0.

    Raises:
        Unhealthy: a listener does not answer, or settings are wrong: what runs a healthcheck
            takes 0 and 1 only.
    """
    try:
        arguments = build_parser().parse_args(words)
        return check(layer_of(arguments, ServerSettings), getattr(arguments, "config", None))
    except SettingsError as error:
        raise Unhealthy("; ".join(error.lines)) from None


def check(flags: Layer, config: str | None) -> int:
    """Ask every listener, tell in one line, and return 0.

    Args:
        flags: what the command line gave.
        config: the settings file's path that it gave.

    Raises:
        Unhealthy: one does not answer.
        SettingsError: settings are wrong.
    """
    settings = load(RunningServer, flags, config).settings
    answered = [
        ask(SERVER, "netjumper", address, _speak, settings.dial_timeout)
        for address in settings.listen
    ]
    process.say(f"healthy: {', '.join(answered)}")
    return process.OK


def _speak(sock: socket.socket) -> bool:
    """The server speaks first, and who goes away then has asked for nothing."""
    return received(sock, 1) == bytes((CHALLENGE_SIZE,)) and (
        len(received(sock, CHALLENGE_SIZE)) == CHALLENGE_SIZE
    )
