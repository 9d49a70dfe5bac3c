"""`python -m manpages.pages DIRECTORY`: write the man pages of both commands.

This module has the text that the parsers lack. The package installs the pages of `docs/man`; `make
generated` updates them, and a test checks that they match the parsers.
"""

import sys
from pathlib import Path

from manpages.page import Items, Page
from netjumper.cli import bridge, server
from netjumper.cli.child_process import KILLED_BY, NOT_EXECUTABLE, NOT_FOUND, SIGNALS
from netjumper.cli.proxy_variables import NO_PROXY, variables
from netjumper.daemon import process, sd_notify, socket_activation
from netjumper.daemon.process import INTERRUPTED
from netjumper.diagnostics.steps import EXIT_CODES
from netjumper.settings.settings_file import SYSTEM_CONFIG

_PROTECTION = (
    "Without TLS, the protocol proves only that the client knows the secret. It does not encrypt "
    "tunnels (TLS to the target stays TLS), the jump server does not prove its identity, and an "
    "attacker that records a handshake can guess a weak secret: use netjumper keygen, not a word. "
    "With TLS (listen_tls, netjumper+tls://) tunnels are encrypted and the jump server proves its "
    "identity. A client with the secret can reach every target that the access rules allow."
)
_CLIENTS = (
    "It runs where the path to the targets is good. Its clients are netjumper-bridge on another "
    "machine, and programs with the Python library."
)
_NO_BYPASS = (
    "The jump server also resolves names. If it cannot be reached, requests fail: nothing bypasses "
    "it. SOCKS 4, 4a and 5 have CONNECT only; HTTP has CONNECT and plain http "
    "URLs."
)
_KEYS = (
    "Bridge and jump server need the same secret; netjumper keygen makes one. The secret does not "
    "encrypt tunnels."
)
_VARIABLES: Items = (
    ("NETJUMPER_SECRET", "The secret that the bridge and the jump server share."),
    ("NETJUMPER_CONFIG", "The settings file, if --config is not given."),
    (
        "NETJUMPER_...",
        (
            "Any other setting, as NETJUMPER_DIAL_TIMEOUT is for --dial-timeout. Lists are "
            "separated by commas; a switch is true or false. A service "
            "warns of a variable that is not a setting."
        ),
    ),
    ("XDG_CONFIG_HOME", "The directory of the user's settings file; ~/.config if it is not set."),
    (
        "CREDENTIALS_DIRECTORY",
        "Set by systemd. A secret in a file below it is accepted whatever the file's mode is.",
    ),
    (
        ", ".join(socket_activation.LISTEN_VARIABLES),
        "Set by systemd: sockets to listen on, instead of the addresses of the settings.",
    ),
    (
        ", ".join(sd_notify.NOTIFY_VARIABLES),
        "Set by systemd: the service reports through them that it is ready, alive or stopping.",
    ),
)
_EXPORTED = {
    "http://http": "The bridge's HTTP listener. HTTP_PROXY is not set, because CGI programs "
    "receive the request field Proxy under that name.",
    "socks5h://socks": "The bridge's SOCKS listener; the h makes the jump server resolve names.",
    NO_PROXY: f"Hosts that bypass the bridge: {NO_PROXY}.",
    "1": "Makes Node.js use the other variables.",
}
_FILES: Items = (
    (
        "~/.config/netjumper/config.toml",
        "The settings file of a user, under XDG_CONFIG_HOME if that is set.",
    ),
    (str(SYSTEM_CONFIG), "The settings file if the user has none."),
)
_SIGNALS = (
    "On SIGTERM and SIGINT the service accepts no more connections, and waits up to the grace "
    "period until open tunnels end. A second signal ends them at once."
)
_FORWARDED = ", ".join(number.name for number in SIGNALS)
_SUCCEEDED = (str(process.OK), "Success, also after a signal that stops the service.")
_FAILED = (
    str(process.FAILED),
    "Failure; a line on standard error has the reason. The status of healthcheck is only 0 or 1.",
)
_USAGE = (str(process.USAGE), "The command line or a setting is invalid.")
_INTERRUPTED = (
    str(INTERRUPTED),
    "Interrupted by Ctrl-C before the service was ready, or in a sub-command.",
)


def pages() -> dict[str, Page]:
    """Return the pages by their file names."""
    return {"netjumper.1": _server(), "netjumper-bridge.1": _bridge()}


def main(directory: str) -> int:
    """Write the pages and return the exit status.

    Args:
        directory: for the pages.

    Raises:
        OSError: a page cannot be written.
    """
    for name, page in pages().items():
        (Path(directory) / name).write_text(page.text(), encoding="ascii")
    return process.OK


def _server() -> Page:
    return Page(
        name="jump server for tunnels over a bad long-distance path",
        parser=server.build_parser(),
        commands=server.COMMANDS,
        description=(
            _CLIENTS,
            _PROTECTION,
        ),
        variables=_VARIABLES,
        exported=(),
        files=_FILES,
        signals=_SIGNALS,
        statuses=(_SUCCEEDED, _FAILED, _USAGE, _INTERRUPTED),
        see_also=(("netjumper-bridge", 1),),
    )


def _bridge() -> Page:
    return Page(
        name="SOCKS and HTTP proxy through a jump server",
        parser=bridge.build_parser(),
        commands=bridge.COMMANDS,
        description=(
            _NO_BYPASS,
            _KEYS,
        ),
        variables=_VARIABLES,
        exported=_exported_items(),
        files=_FILES,
        signals=f"{_SIGNALS} The sub-command exec forwards {_FORWARDED} to its program.",
        statuses=(
            _SUCCEEDED,
            _FAILED,
            _USAGE,
            *_doctor_statuses(),
            *_exec_statuses(),
            _INTERRUPTED,
        ),
        see_also=(("netjumper", 1), ("curl", 1), ("ssh", 1)),
    )


def _exported_items() -> Items:
    """Return the variables, grouped by their value, with a description of the value."""
    names: dict[str, list[str]] = {}
    for name, value in variables("http", "socks").items():
        names.setdefault(value, []).append(name)
    return [(", ".join(same), _EXPORTED[value]) for value, same in names.items()]


def _doctor_statuses() -> Items:
    return [
        (str(code), f"doctor: {step} is the first step that failed.")
        for step, code in EXIT_CODES.items()
    ]


def _exec_statuses() -> Items:
    return (
        ("any", "exec: the exit status of the program."),
        (str(NOT_EXECUTABLE), "exec: the program cannot be run."),
        (str(NOT_FOUND), "exec: the program does not exist."),
        (f"{KILLED_BY}+n", "exec: signal n ended the program."),
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
