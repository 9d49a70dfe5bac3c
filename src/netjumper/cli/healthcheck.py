"""`netjumper-bridge healthcheck`: does the bridge on this machine answer?

A greeting on each listener, answered without a tunnel and without a password: SOCKS5's method
selection (RFC 1928 section 3), and `OPTIONS *`, HTTP's ping (RFC 9110 section 9.3.7).
"""

from collections.abc import Sequence
from contextlib import closing

from netjumper.app.bridge import load_bridge
from netjumper.app.probes import probes_of
from netjumper.cli import server
from netjumper.cli.arguments import PLACES, Parser, add_config, add_settings, command_line_of
from netjumper.cli.output import say
from netjumper.daemon import process
from netjumper.diagnostics.listener_check import (
    BRIDGE,
    SERVER,
    Unhealthy,
    check_listeners,
    running_service,
)
from netjumper.diagnostics.probe import Probe
from netjumper.errors import JumpHostError, SettingsError
from netjumper.settings.bridge import BridgeSettings, RunningBridge, UpstreamSettings
from netjumper.settings.loader import load
from netjumper.settings.option import Group
from netjumper.settings.sources import CommandLine

_EXAMPLES = """\
examples:
  netjumper-bridge healthcheck
      ask the listeners that the settings name; the exit status is 0 or 1
  netjumper-bridge healthcheck --mixed unix:/run/netjumper/socket
  netjumper-bridge healthcheck --deep
      reach the jump server too, and check the secret
  netjumper-bridge healthcheck --running
      in a container: ask whichever of the two commands runs there (the bridge, where both do), at
      the addresses that its own command line, the environment and the settings file give

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge healthcheck`."""
    parser = Parser(
        "netjumper-bridge healthcheck",
        "Asks the bridge that runs on this machine whether it answers. Opens no tunnel.",
        _EXAMPLES + PLACES.format(table=BridgeSettings.table),
    )
    parser.add_argument(
        "--deep", action="store_true", help="reach the jump server too, and check the secret"
    )
    parser.add_argument(
        "--running",
        action="store_true",
        help="take the options of the netjumper-bridge, or netjumper, that runs here",
    )
    add_settings(
        parser,
        BridgeSettings,
        titles={Group.JUMP_SERVER: "jump server (for --deep)"},
        helps={"embedded": "the jump server runs in the bridge itself, so --deep skips it"},
    )
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Ask, tell in one line, and return 0.

    Raises:
        Unhealthy: a listener does not answer, or settings are wrong: what runs a healthcheck
            takes 0 and 1 only.
        JumpHostError: with `--deep`, the jump server cannot be used.
    """
    try:
        return _run(words)
    except SettingsError as error:
        raise Unhealthy("; ".join(error.lines)) from None


def _run(words: Sequence[str]) -> int:
    arguments = build_parser().parse_args(words)
    given = command_line_of(arguments, BridgeSettings)
    if hasattr(arguments, "running"):
        name, line = running_service()
        if name == SERVER:
            if hasattr(arguments, "deep"):
                raise Unhealthy("--deep: what runs here is a jump server, which has none behind it")
            return server.check_health(line)
        # Flags that only the bridge itself has are ignored.
        running, _ = build_parser().parse_known_args(line)
        given = given.over(command_line_of(running, BridgeSettings))
    settings = load(RunningBridge, given).settings
    answered = check_listeners(BRIDGE, settings.listeners, settings.dial_timeout)
    if hasattr(arguments, "deep"):
        answered.append(_asked_jump_hosts(given))
    say(f"healthy: {', '.join(answered)}")
    return process.OK


def _asked_jump_hosts(given: CommandLine) -> str:
    """Ask them in turn until one lets us in."""
    probes = probes_of(load_bridge(given, UpstreamSettings))
    if not probes:
        return "the jump server is in the bridge"
    errors = []
    for probe in probes:
        try:
            _ask_jump_host(probe)
        except JumpHostError as error:
            errors.append(error)
        else:
            failed = f" ({'; '.join(map(str, errors))})" if errors else ""
            return f"jump host {probe.jump_host} accepts the secret{failed}"
    if len(errors) > 1:
        raise Unhealthy("; ".join(map(str, errors)))
    raise errors[0]


def _ask_jump_host(probe: Probe) -> None:
    with closing(probe):
        probe.look_up()
        probe.connect()
        probe.challenge()
        probe.prove()
