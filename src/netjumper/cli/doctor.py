"""`netjumper-bridge doctor`: tells of the way to a target step by step, and ends with advice."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict

from netjumper.app.bridge import load_bridge
from netjumper.app.probes import probes_of
from netjumper.cli.arguments import PLACES, Parser, add_config, add_settings, command_line_of
from netjumper.cli.help_formatter import WIDEST
from netjumper.cli.output import say
from netjumper.daemon import process
from netjumper.diagnostics.probe import Probe
from netjumper.diagnostics.steps import Diagnosis, DiagnosisTarget, Step
from netjumper.errors import SettingsError
from netjumper.settings.bridge import BridgeSettings, UpstreamSettings
from netjumper.text import printable

DEFAULT_TARGET = "example.org:443"

_EXAMPLES = """\
examples:
  netjumper-bridge doctor --jump home.example.net:9527 --secret-file secret
      as far as example.org:443, and how fast its page comes
  netjumper-bridge doctor db.example.org:5432
      with the settings of a file or of the environment
  netjumper-bridge doctor https://www.example.org/large.bin --json
      the throughput of this download, as one JSON object

The steps, and the exit status where one is the first that fails: name (3), connect (4), tls (8,
with netjumper+tls:// only), challenge (5), secret (6), target (7). Throughput is measured for a
URL and for ports 80 and 443, over up to 5 s or 16 MiB; that it cannot be is no failure. The exit
status is 0 when all is well, 2 when the settings are wrong, and 1 when the output could not be
written. Several jump servers are tried one after the other; the exit status is that of the first
at which a step failed.

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge doctor`."""
    parser = Parser(
        "netjumper-bridge doctor",
        "Makes a tunnel step by step, with each step's time, and explains the first that fails.",
        _EXAMPLES + PLACES.format(table=BridgeSettings.table),
        "netjumper-bridge doctor [options] [TARGET]",
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help=f"HOST:PORT or a URL to reach (default: {DEFAULT_TARGET})",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for each jump server"
    )
    add_settings(parser, BridgeSettings)
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Try the steps and tell of them; return the exit code, which names the step that failed.

    Raises:
        SettingsError: the command line or a setting is wrong.
    """
    arguments = build_parser().parse_args(words)
    goal = DiagnosisTarget.parse(getattr(arguments, "target", DEFAULT_TARGET))
    probes, timeout = _probes(arguments)
    tell = _tell_as_json if hasattr(arguments, "json") else _tell
    codes: list[int] = []
    for probe in probes:
        if len(probes) > 1 and tell is _tell:
            say(("\n" if codes else "") + f"jump host {probe.jump_host}:")
        examined = Diagnosis(probe.jump_host, goal, timeout)
        with closing(probe):
            tell(examined, probe)
        codes.append(examined.exit_code)
    return next(filter(None, codes), process.OK)


def _tell(examined: Diagnosis, probe: Probe) -> None:
    for step in examined.steps(probe):
        say(_line(step))
    if examined.advice:
        say(f"\n{_filled(examined.advice)}")


def _tell_as_json(examined: Diagnosis, probe: Probe) -> None:
    for _ in examined.steps(probe):
        pass
    say(_as_json(examined))


def _line(step: Step) -> str:
    mark = {True: "ok", False: "FAILED", None: "-"}[step.ok]
    return f"{mark:7}{step.step:11}{step.seconds * 1000:8.1f} ms  {printable(step.detail)}"


def _filled(text: str) -> str:
    return textwrap.fill(printable(text), min(shutil.get_terminal_size().columns, WIDEST))


def _as_json(examined: Diagnosis) -> str:
    told = {
        "ok": examined.exit_code == process.OK,
        "jump_host": str(examined.jump_host),
        "target": str(examined.goal.target),
        "steps": [asdict(step) for step in examined.done],
        "advice": examined.advice,
        "exit_code": examined.exit_code,
    }
    return json.dumps(told)


def _probes(arguments: argparse.Namespace) -> tuple[list[Probe], float]:
    loaded = load_bridge(command_line_of(arguments, BridgeSettings), UpstreamSettings)
    probes = probes_of(loaded)
    if not probes:
        raise SettingsError("with embedded there is no jump server to examine; give --jump")
    return probes, loaded.settings.jump_timeout
