"""`netjumper-bridge doctor`: tests the steps of a tunnel to a target, and gives advice."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict

from netjumper.app.bridge import load_bridge
from netjumper.app.probes import probes_of
from netjumper.cli.arguments import SETTINGS_HELP, Parser, add_config, add_settings, command_line_of
from netjumper.cli.help_formatter import MAX_WIDTH
from netjumper.cli.output import print_line, show_progress
from netjumper.daemon import process
from netjumper.diagnostics.probe import Probe
from netjumper.diagnostics.steps import NO_FAILURE, Diagnosis, DiagnosisTarget, Step
from netjumper.errors import SettingsError
from netjumper.settings.bridge import BridgeSettings, UpstreamSettings
from netjumper.text import printable

DEFAULT_TARGET = "example.org:443"

_WORKING = "..."
"""Shown while a step is tried, which can take many seconds."""

_EXAMPLES = """\
examples:
  netjumper-bridge doctor --jump home.example.net:9527 --secret-file secret
      test a tunnel to example.org:443, and how fast its page is received
  netjumper-bridge doctor db.example.org:5432
      with the settings of the settings file or the environment
  netjumper-bridge doctor https://www.example.org/large.bin --json
      the throughput of this download, as one JSON object

The steps, with the exit status if a step is the first that fails: name (3), connect (4), tls (8,
with netjumper+tls:// only), challenge (5), secret (6), target (7). Throughput is measured for a
URL and for ports 80 and 443, over up to 5 s or 16 MiB; it is no failure if that is not possible.
The exit status is 0 if all steps succeed, 2 if the settings are wrong, and 1 if the output cannot
be written. Several jump servers are tested one after the other; the exit status is that of the
first one with a failed step.

"""


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge doctor`."""
    parser = Parser(
        "netjumper-bridge doctor",
        "Opens a tunnel step by step, with the time of each, and explains the first that fails.",
        _EXAMPLES + SETTINGS_HELP.format(table=BridgeSettings.table),
        "netjumper-bridge doctor [options] [TARGET]",
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help=f"HOST:PORT or a URL to connect to (default: {DEFAULT_TARGET})",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for each jump server"
    )
    add_settings(parser, BridgeSettings)
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Run the steps and print each; return the exit code, which names the failed step.

    Raises:
        SettingsError: the command line or a setting is wrong.
    """
    arguments = build_parser().parse_args(words)
    goal = DiagnosisTarget.parse(getattr(arguments, "target", DEFAULT_TARGET))
    probes, timeout = _probes(arguments)
    report = _print_json if hasattr(arguments, "json") else _print_steps
    codes: list[int] = []
    for probe in probes:
        if len(probes) > 1 and report is _print_steps:
            print_line(("\n" if codes else "") + f"jump host {probe.jump_host}:")
        diagnosis = Diagnosis(probe.jump_host, goal, timeout)
        with closing(probe):
            report(diagnosis, probe)
        codes.append(diagnosis.exit_code)
    return next(filter(None, codes), process.OK)


def _print_steps(diagnosis: Diagnosis, probe: Probe) -> None:
    show_progress(_WORKING)
    for step in diagnosis.steps(probe):
        print_line(_line(step))
        show_progress(_WORKING)
    show_progress(" " * len(_WORKING))
    if diagnosis.advice:
        print_line(f"\n{_filled(diagnosis.advice)}")


def _print_json(diagnosis: Diagnosis, probe: Probe) -> None:
    for _ in diagnosis.steps(probe):
        pass
    print_line(_as_json(diagnosis))


def _line(step: Step) -> str:
    mark = {True: "ok", False: "FAILED", None: "-"}[step.ok]
    return f"{mark:7}{step.step:11}{step.seconds * 1000:8.1f} ms  {printable(step.detail)}"


def _filled(text: str) -> str:
    return textwrap.fill(printable(text), min(shutil.get_terminal_size().columns, MAX_WIDTH))


def _as_json(diagnosis: Diagnosis) -> str:
    report = {
        "ok": diagnosis.exit_code == NO_FAILURE,
        "jump_host": str(diagnosis.jump_host),
        "target": str(diagnosis.goal.target),
        "steps": [asdict(step) for step in diagnosis.done],
        "advice": diagnosis.advice,
        "exit_code": diagnosis.exit_code,
    }
    return json.dumps(report)


def _probes(arguments: argparse.Namespace) -> tuple[list[Probe], float]:
    loaded = load_bridge(command_line_of(arguments, BridgeSettings), UpstreamSettings)
    probes = probes_of(loaded)
    if not probes:
        raise SettingsError("embedded has no jump server to test; set --jump")
    settings = loaded.settings
    return probes, settings.lookup_timeout + settings.dial_timeout + settings.jump_timeout
