"""`netjumper healthcheck`: does the jump server on this machine give its challenge?"""

import contextlib
import socket
import ssl
from collections.abc import Sequence

from netjumper.cli.arguments import PLACES, Flags, Parser, source_of_flags
from netjumper.cli.output import say
from netjumper.daemon import process
from netjumper.diagnostics.listener_check import SERVER, Unhealthy, check_listener, received
from netjumper.errors import SettingsError
from netjumper.logs.terminal import DOORS
from netjumper.protocol.wire import CHALLENGE_SIZE
from netjumper.settings.loader import Source, load
from netjumper.settings.server import RunningServer, ServerSettings

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
    flags = Flags(parser, ServerSettings)
    flags.group("where the jump server listens", "listen", "listen_tls")
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
        return check(source_of_flags(arguments, ServerSettings), getattr(arguments, "config", None))
    except SettingsError as error:
        raise Unhealthy("; ".join(error.lines)) from None


def check(flags: Source, config: str | None) -> int:
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
        check_listener(SERVER, DOORS[name], address, _SPEAK[name], settings.dial_timeout, _RESETS)
        for name, addresses in settings.doors.items()
        for address in addresses
    ]
    say(f"healthy: {', '.join(answered)}")
    return process.OK


def _speak_clear(sock: socket.socket) -> bool:
    """The server speaks first, and who goes away then has asked for nothing."""
    return received(sock, 1) == bytes((CHALLENGE_SIZE,)) and (
        len(received(sock, CHALLENGE_SIZE)) == CHALLENGE_SIZE
    )


def _speak_tls(sock: socket.socket) -> bool:
    """A jump server answers a greeting of TLS, be it with an alert: we prove nothing."""
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    # One that it refuses for its age, not for what it proves: this is no wrong answer.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="-")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    sock.sendall(outgoing.read())
    return received(sock, 2) in _TLS_RECORDS


_RESETS = " (resets: this address is shut out after wrong answers, or others take its place)"
"""What a reset tells, which is an answer, too: who hangs, or is not there, gives none.

An address gets one that is shut out, be it this machine's own: strangers' wrong answers look like
its own where a port is forwarded here. Nobody is to restart a service for that.
"""
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""An alert, or a handshake (RFC 8446 section 5.1)."""
_SPEAK = {"netjumper": _speak_clear, "tls": _speak_tls}
