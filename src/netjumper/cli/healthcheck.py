"""`netjumper-bridge healthcheck`: checks that the bridge on this machine answers.

Each listener gets a greeting that it answers without a tunnel and without a password
(`netjumper.diagnostics.greetings`).
"""

from collections.abc import Sequence
from contextlib import closing
from time import monotonic

from netjumper.app.bridge import load_bridge
from netjumper.app.probes import probes_of
from netjumper.app.server_health import check_jump_server
from netjumper.cli import server
from netjumper.cli.arguments import SETTINGS_HELP, Parser, add_config, add_settings, command_line_of
from netjumper.cli.output import print_line
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

MAX_DEEP_CHECK_S = 10.0
"""Seconds that all jump hosts have together: orchestrators end a check after 20 or 30 s."""
_EXAMPLES = """\
examples:
  netjumper-bridge healthcheck
      check the listeners that the settings name; the exit status is 0 or 1
  netjumper-bridge healthcheck --mixed unix:/run/netjumper/socket
  netjumper-bridge healthcheck --deep
      connect to the jump server too, and check the secret
  netjumper-bridge healthcheck --running
      in a container: check whichever of the two commands runs there (the bridge, if both do), at
      the addresses that its command line, the environment and the settings file give

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge healthcheck`."""
    parser = Parser(
        "netjumper-bridge healthcheck",
        "Checks that the bridge on this machine answers. Opens no tunnel.",
        _EXAMPLES + SETTINGS_HELP.format(table=BridgeSettings.table),
    )
    parser.add_argument(
        "--deep", action="store_true", help="connect to the jump server too, and check the secret"
    )
    parser.add_argument(
        "--running",
        action="store_true",
        help="use the command line of the netjumper-bridge, or netjumper, that runs here",
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
    """Check every listener, print one line, and return 0.

    Raises:
        Unhealthy: a listener does not answer, or settings are wrong: a health check may exit only
            with 0 or 1.
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
        name, line = running_service(BRIDGE, SERVER)
        if name == SERVER:
            if hasattr(arguments, "deep"):
                raise Unhealthy("--deep: a jump server runs here, and it uses no other")
            answered = check_jump_server(server.given_by(line))
            print_line(f"healthy: {', '.join(answered)}")
            return process.OK
        # Flags that only the bridge itself has are ignored.
        running, _ = build_parser().parse_known_args(line)
        given = given.over(command_line_of(running, BridgeSettings))
    settings = load(RunningBridge, given).settings
    answered = check_listeners(BRIDGE, settings.listeners, settings.dial_timeout)
    if hasattr(arguments, "deep"):
        answered.append(_check_jump_hosts(given, min(settings.jump_timeout, MAX_DEEP_CHECK_S)))
    print_line(f"healthy: {', '.join(answered)}")
    return process.OK


def _check_jump_hosts(given: CommandLine, timeout: float) -> str:
    """Try the jump hosts in turn until one accepts the secret.

    Args:
        given: what the command line gave.
        timeout: seconds that all of them have together; each gets its share of what is left.
    """
    probes = probes_of(load_bridge(given, UpstreamSettings))
    if not probes:
        return "the jump server runs in the bridge"
    errors = []
    deadline = monotonic() + timeout
    for left, probe in zip(range(len(probes), 0, -1), probes, strict=True):
        probe.deadline = monotonic() + (deadline - monotonic()) / left
        try:
            _check_jump_host(probe)
        except JumpHostError as error:
            errors.append(error)
        else:
            failed = f" ({'; '.join(map(str, errors))})" if errors else ""
            return f"jump host {probe.jump_host} accepts the secret{failed}"
    if len(errors) > 1:
        raise Unhealthy("; ".join(map(str, errors)))
    raise errors[0]


def _check_jump_host(probe: Probe) -> None:
    with closing(probe):
        probe.look_up()
        probe.connect()
        probe.encrypt()
        probe.challenge()
        probe.prove()
