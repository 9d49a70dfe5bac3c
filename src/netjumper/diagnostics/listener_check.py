"""What both commands' `healthcheck` share: asking a listener, finding the one that runs here."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

from netjumper.addressing.listen_address import ListenAddress, reachable_from_here
from netjumper.errors import NetjumperError

BRIDGE, SERVER = "netjumper-bridge", "netjumper"
PROC = Path("/proc")
"""Where Linux tells of its processes."""

_INTERPRETER = re.compile(r"(python|pypy)[0-9.]*")

Speak = Callable[[socket.socket], bool]
"""Says something on a connection, and returns whether the answer is as it should be."""


class Unhealthy(NetjumperError):
    """What runs here does not answer as it should."""


def check_listener(
    program: str,
    protocol: str,
    address: ListenAddress,
    exchange: Speak,
    timeout: float,
    resets: str = "",
) -> str:
    """Speak with a listener, and return what answered.

    Args:
        program: what is to answer there, for people.
        protocol: the name of its protocol, for people.
        address: where it listens.
        speak: what to say.
        timeout: seconds to wait for anything.
        resets: is told of one that resets the connection, if that is as it should be; empty where
            it is not.

    Raises:
        Unhealthy: it does not answer, or something else than `program` does.
    """
    told = f"{protocol} on {address}"
    try:
        with _connected(address, timeout) as sock:
            well = exchange(sock)
    except OSError as error:
        if resets and isinstance(error, (ConnectionResetError, BrokenPipeError)):
            return told + resets
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror
        raise Unhealthy(f"{told}: {reason or type(error).__name__}") from None
    if not well:
        raise Unhealthy(f"{told}: what answers there is no {program}")
    return told


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


def received(sock: socket.socket, count: int) -> bytes:
    """Return `count` bytes, fewer where the stream ends before."""
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def running_service() -> tuple[str, list[str]]:
    """Return the command of a bridge or jump server that runs here, and its command line's words.

    Where both do it is a bridge, and of several the one with the lowest process id.

    Raises:
        Unhealthy: there is none, or no /proc to find it in.
    """
    services = dict(reversed(list(_services())))  # the last of a name is what stays in a dict
    for name in (BRIDGE, SERVER):
        if name in services:
            return name, services[name]
    raise Unhealthy(f"neither {SERVER} nor {BRIDGE} runs here")


def _services() -> Iterator[tuple[str, list[str]]]:
    for words in _command_lines():
        if _INTERPRETER.fullmatch(PurePath(words[0]).name):  # of a script that begins with #!
            words.pop(0)
        name, rest = PurePath(words[0]).name if words else "", words[1:]
        if name not in (BRIDGE, SERVER):
            continue
        if not rest or rest[0].startswith("-") or rest[0].isdigit():  # no sub-command
            yield name, rest


def _command_lines() -> Iterator[list[str]]:
    """Yield the command lines of this machine's, or this container's, processes."""
    for number in sorted(int(it.name) for it in PROC.glob("[0-9]*")):
        try:
            line = (PROC / str(number) / "cmdline").read_bytes()
        except OSError:  # it is over
            continue
        yield line.rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0")
