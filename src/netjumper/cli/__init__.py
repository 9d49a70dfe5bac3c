"""The command line of both programs: parsers, sub-commands and exit codes.

`server` is `netjumper` and `bridge` is `netjumper-bridge`; each has a table of sub-commands
(`subcommands`). `arguments` makes their flags out of the settings' declarations. Nothing here
builds services: `netjumper.app` does.
"""

import importlib
import sys

from netjumper.daemon.process import INTERRUPTED
from netjumper.daemon.sighup import block_sighup


def run_server() -> int:
    """Run `netjumper` and return its exit code."""
    return _run("netjumper.cli.server")


def run_bridge() -> int:
    """Run `netjumper-bridge` and return its exit code."""
    return _run("netjumper.cli.bridge")


def run_module() -> int:
    """Run the command that the first word names, as `python -m netjumper`; return its exit code."""
    run = {"server": run_server, "bridge": run_bridge}.get(sys.argv[1]) if sys.argv[1:] else None
    if run is None:
        return _run("netjumper.cli.module_entry")
    del sys.argv[1]
    return run()


def _run(module: str) -> int:
    block_sighup()  # deriving keys from secrets takes seconds
    try:  # a Ctrl-C can arrive while modules are imported
        code: int = importlib.import_module(module).main()
    except KeyboardInterrupt:
        return INTERRUPTED
    return code
