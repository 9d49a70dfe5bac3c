"""The two commands: `server` is `netjumper`, `bridge` is `netjumper-bridge`.

`options` makes their flags out of the settings' keys, `helptext` the texts around them, `sources`
merges flags, environment and file, `files` reads what others must not, `logs` writes, and `process`
runs a service until it is told to stop. `inherit` and `notify` speak with a service manager.

`commands` picks a sub-command: `execute` (`exec`), `environment` (`env`), `completion`, `doctor`
with `examination`, `probe` and `advice`, and `healthcheck` and `server_healthcheck` with `asking`.
Settings become constructor calls in `server` and `bridging`, nowhere else.
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
    block_sighup()  # making keys of secrets takes seconds
    try:  # importing takes long enough for a Ctrl-C to come in the middle
        code: int = importlib.import_module(module).main()
    except KeyboardInterrupt:
        return INTERRUPTED
    return code
