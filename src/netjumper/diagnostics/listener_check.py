"""What both `healthcheck` commands share: checking listeners, and finding the running service."""

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from time import monotonic

from netjumper.addressing.listen_address import ListenAddress, reachable_from_here
from netjumper.addressing.listeners import LISTENERS
from netjumper.diagnostics.greetings import EXCHANGES, Exchange, Greeted
from netjumper.errors import NetjumperError

BRIDGE, SERVER = "netjumper-bridge", "netjumper"
PROC = Path("/proc")
"""Linux's directory of processes."""
_UIDS = re.compile(rb"^Uid:((?:\t\d+){4})$", re.MULTILINE)
"""Matches the real, effective, saved and file system user in /proc/PID/status; see proc(5)."""

_AS_MODULE: dict[tuple[str, ...], str] = {
    ("-m", "netjumper", "server"): SERVER,
    ("-m", "netjumper", "bridge"): BRIDGE,
}
_INTERPRETER = re.compile(r"(python|pypy)[0-9.]*")


class Unhealthy(NetjumperError):
    """A service does not answer as it should."""


def check_listeners(
    program: str,
    listeners: Mapping[str, Sequence[ListenAddress]],
    timeout: float,
    resets: str = "",
) -> list[str]:
    """Send each listener its greetings, and return a text for each.

    Args:
        program: the command that should answer, for messages.
        listeners: the addresses by the name of their kind (`netjumper.addressing.listeners`).
        timeout: seconds that everything can take together.
        resets: the text for a listener that resets the connection, if that is healthy; empty if it
            is not.

    Raises:
        Unhealthy: one does not answer, or another program does.
    """
    deadline = monotonic() + timeout
    return [
        _check_listener(program, it.value, address, EXCHANGES[it], deadline, resets)
        for name, addresses in listeners.items()
        for address in addresses
        for it in LISTENERS[name].greetings
    ]


def _check_listener(
    program: str,
    protocol: str,
    address: ListenAddress,
    exchange: Exchange,
    deadline: float,
    resets: str,
) -> str:
    label = f"{protocol} on {address}"
    try:
        with _connected(address, max(deadline - monotonic(), 0.001)) as sock:
            well = exchange(Greeted(sock, deadline))
    except OSError as error:
        if resets and isinstance(error, (ConnectionResetError, BrokenPipeError)):
            return label + resets
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror
        raise Unhealthy(f"{label}: {reason or type(error).__name__}") from None
    if not well:
        raise Unhealthy(f"{label}: the answer is not from {program}")
    return label


def _connected(address: ListenAddress, timeout: float) -> socket.socket:
    if address.path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(address.path)
        except BaseException:
            sock.close()
            raise
        return sock
    if not address.port:
        raise Unhealthy(f"{address}: give the port; 0 was the system's choice")
    host, _, port = reachable_from_here(str(address)).rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout)


def running_service(*commands: str) -> tuple[str, list[str]]:
    """Return which of these commands runs here, and the words of its command line.

    The first in the order of `commands`, and of several the one with the lowest process id. A
    process of another user is not believed, except root's: any program can have such a command
    line, and the files that it names would be read with this process's rights.

    Raises:
        Unhealthy: none is running as this user, or the system has no /proc.
    """
    trusted = {os.geteuid(), 0}
    services: dict[str, list[str]] = {}
    others: dict[str, int] = {}
    for users, name, words in _services():
        # All of them: a setuid program has the command line that its caller has chosen.
        if foreign := [user for user in users if user not in trusted]:
            others.setdefault(name, foreign[0])
        else:
            services.setdefault(name, words)
    for name in commands:
        if name in services:
            return name, services[name]
    for name in commands:
        if name in others:
            user = others[name]
            raise Unhealthy(f"{name} runs here as user {user}; run the health check as that user")
    raise Unhealthy(f"no {' or '.join(commands)} runs here")


def _services() -> Iterator[tuple[list[int], str, list[str]]]:
    """Yield the users, the command and the words after it of each process that is a service."""
    for users, line in _command_lines():
        name, words = _command_of(line)
        if name not in (BRIDGE, SERVER):
            continue
        if not words or words[0].startswith("-") or words[0].isdigit():  # no sub-command
            yield users, name, words


def _command_of(words: list[str]) -> tuple[str, list[str]]:
    """Return the name of the command that a process runs, and the words after it."""
    if _INTERPRETER.fullmatch(PurePath(words[0]).name):  # a script that begins with #!, or -m
        words = words[1:]
        if name := _AS_MODULE.get(tuple(words[:3])):
            return name, words[3:]
    return PurePath(words[0]).name if words else "", words[1:]


def _command_lines() -> Iterator[tuple[list[int], list[str]]]:
    """Yield the users and command lines of all processes of this machine or container."""
    for number in sorted(int(it.name) for it in PROC.glob("[0-9]*")):
        process = PROC / str(number)
        try:
            line = (process / "cmdline").read_bytes()
            # Not the owner of the directory: a process can make that root.
            uids = _UIDS.search((process / "status").read_bytes())
        except OSError:  # it has ended
            continue
        if uids is not None:
            users = [int(it) for it in uids[1].split()]
            yield users, line.rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0")
