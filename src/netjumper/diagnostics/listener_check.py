"""What both `healthcheck` commands share: checking listeners, and finding the running service."""

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from netjumper.addressing.listen_address import ListenAddress, reachable_from_here
from netjumper.addressing.listeners import LISTENERS
from netjumper.diagnostics.greetings import EXCHANGES, Exchange
from netjumper.errors import NetjumperError

BRIDGE, SERVER = "netjumper-bridge", "netjumper"
PROC = Path("/proc")
"""Linux's directory of processes."""

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
        timeout: seconds to wait for a connection, and for each part of an answer.
        resets: the text for a listener that resets the connection, if that is healthy; empty if it
            is not.

    Raises:
        Unhealthy: one does not answer, or another program does.
    """
    return [
        _check_listener(program, it.value, address, EXCHANGES[it], timeout, resets)
        for name, addresses in listeners.items()
        for address in addresses
        for it in LISTENERS[name].greetings
    ]


def _check_listener(
    program: str,
    protocol: str,
    address: ListenAddress,
    exchange: Exchange,
    timeout: float,
    resets: str,
) -> str:
    label = f"{protocol} on {address}"
    try:
        with _connected(address, timeout) as sock:
            well = exchange(sock)
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


def running_service() -> tuple[str, list[str]]:
    """Return the command of a running bridge or jump server, and the words of its command line.

    A bridge comes before a jump server, and of several the one with the lowest process id.

    Raises:
        Unhealthy: none is running, or the system has no /proc.
    """
    services = dict(reversed(list(_services())))  # the last of a name is what stays in a dict
    for name in (BRIDGE, SERVER):
        if name in services:
            return name, services[name]
    raise Unhealthy(f"neither {SERVER} nor {BRIDGE} runs here")


def _services() -> Iterator[tuple[str, list[str]]]:
    for words in _command_lines():
        name, rest = _command_of(words)
        if name not in (BRIDGE, SERVER):
            continue
        if not rest or rest[0].startswith("-") or rest[0].isdigit():  # no sub-command
            yield name, rest


def _command_of(words: list[str]) -> tuple[str, list[str]]:
    """Return the name of the command that a process runs, and the words after it."""
    if _INTERPRETER.fullmatch(PurePath(words[0]).name):  # a script that begins with #!, or -m
        words = words[1:]
        if name := _AS_MODULE.get(tuple(words[:3])):
            return name, words[3:]
    return PurePath(words[0]).name if words else "", words[1:]


def _command_lines() -> Iterator[list[str]]:
    """Yield the command lines of all processes of this machine or container."""
    for number in sorted(int(it.name) for it in PROC.glob("[0-9]*")):
        try:
            line = (PROC / str(number) / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        yield line.rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0")
