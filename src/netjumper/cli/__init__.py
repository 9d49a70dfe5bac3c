"""The two commands: `server` is `netjumper`, `bridge` is `netjumper-bridge`.

`options` makes their flags out of the settings' keys, `helptext` the texts around them, `sources`
merges flags, environment and file, `files` reads what others must not, `logs` writes, and `process`
runs a service until it is told to stop. `inherit` and `notify` speak with a service manager.

`commands` picks a sub-command: `execute` (`exec`), `environment` (`env`), `completion`, `doctor`
with `examination`, `probe` and `advice`, and `healthcheck` and `server_healthcheck` with `asking`.
Settings become constructor calls in `server` and `bridging`, nowhere else.
"""

import importlib
import signal

INTERRUPTED = 130
"""The exit code that shells expect of a program that Ctrl-C ended."""


def run_server() -> int:
    """Run `netjumper` and return its exit code."""
    return _run("netjumper.cli.server")


def run_bridge() -> int:
    """Run `netjumper-bridge` and return its exit code."""
    return _run("netjumper.cli.bridge")


def hold_hangups_back() -> None:
    """Have a SIGHUP wait until somebody knows what to do with it; otherwise it ends the process."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows, which has no SIGHUP either
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def let_hangups_come() -> None:
    """Have a SIGHUP come, and the one that was held back."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _run(module: str) -> int:
    hold_hangups_back()  # making keys of secrets takes seconds
    try:  # importing takes long enough for a Ctrl-C to come in the middle
        code: int = importlib.import_module(module).main()
    except KeyboardInterrupt:
        return INTERRUPTED
    return code
