"""`netjumper-bridge healthcheck`: does the bridge on this machine answer?

A greeting on each listener, answered without a tunnel: SOCKS5's method selection (RFC 1928
section 3), and a CONNECT for something that is no target, which HTTP answers with a status.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from netjumper.cli import process
from netjumper.cli.bridging import RunningBridge, load_bridge
from netjumper.cli.options import PLACES, Flags, Parser, layer_of
from netjumper.cli.probe import Probe
from netjumper.cli.sources import Layer, load
from netjumper.console import reachable_from_here
from netjumper.errors import NetjumperError
from netjumper.net.listener import ListenAddress
from netjumper.settings import BridgeSettings, SettingsError

_EXAMPLES = """\
examples:
  netjumper-bridge healthcheck
      ask the listeners that the settings name; the exit status is 0 or 1
  netjumper-bridge healthcheck --mixed unix:/run/netjumper/socket
  netjumper-bridge healthcheck --deep
      reach the jump server too, and check the secret

A container needs its addresses in the environment (NETJUMPER_SOCKS, ...) or in a settings file,
where this command finds them too.

"""
_SOCKS_GREETING = b"\5\2\0\2"
_SOCKS_METHODS = frozenset({b"\5\0", b"\5\2", b"\5\xff"})
_HTTP_GREETING = b"CONNECT / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_HTTP_ANSWER = b"HTTP/1."


class Unhealthy(NetjumperError):
    """The bridge does not answer as one."""


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge healthcheck`."""
    parser = Parser(
        "netjumper-bridge healthcheck",
        "Asks the bridge that runs on this machine whether it answers. Opens no tunnel.",
        _EXAMPLES + PLACES.format(table=BridgeSettings.table),
    )
    parser.add_argument(
        "--deep", action="store_true", help="reach the jump server too, and check the secret"
    )
    flags = Flags(parser, BridgeSettings)
    flags.group(
        "where the bridge listens (default: --socks 127.0.0.1:1080 --http 127.0.0.1:8118)",
        "socks",
        "http",
        "mixed",
    )
    flags.group("for --deep", "jump", "secret_file", "embedded")
    flags.group("timeouts", "dial_timeout", "jump_timeout")
    flags.config()
    return parser


def run(words: Sequence[str]) -> int:
    """Ask, tell in one line, and return 0.

    Raises:
        Unhealthy: a listener does not answer, or settings are wrong: what runs a healthcheck
            takes 0 and 1 only.
        JumpHostError: with `--deep`, the jump server cannot be used.
    """
    try:
        return _run(words)
    except SettingsError as error:
        raise Unhealthy("; ".join(error.lines)) from None


def _run(words: Sequence[str]) -> int:
    arguments = build_parser().parse_args(words)
    flags, config = layer_of(arguments, BridgeSettings), getattr(arguments, "config", None)
    settings = load(RunningBridge, flags, config).settings
    answered = [ask(door, address, settings.dial_timeout) for door, address in _doors(settings)]
    if hasattr(arguments, "deep"):
        answered.append(_asked_jump_host(flags, config))
    process.say(f"healthy: {', '.join(answered)}")
    return process.OK


def _doors(settings: BridgeSettings) -> Iterator[tuple[str, ListenAddress]]:
    for door, addresses in settings.doors.items():
        for address in addresses:
            yield door, address


def ask(door: str, address: ListenAddress, timeout: float) -> str:
    """Speak with a listener, and return what answered.

    Args:
        door: `socks`, `http` or `mixed`.
        address: where the bridge listens.
        timeout: seconds to wait for anything.

    Raises:
        Unhealthy: it does not answer in its protocol.
    """
    told = []
    for protocol, speak in _PROTOCOLS.items():
        if door in (protocol.lower(), "mixed"):
            told.append(f"{protocol} on {address}")
            try:
                with _connected(address, timeout) as sock:
                    well = speak(sock)
            except OSError as error:
                reason = "no answer" if isinstance(error, TimeoutError) else error.strerror
                raise Unhealthy(f"{told[-1]}: {reason or type(error).__name__}") from None
            if not well:
                raise Unhealthy(f"{told[-1]}: what answers there does not speak {protocol}")
    return ", ".join(told)


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


def _speak_socks(sock: socket.socket) -> bool:
    sock.sendall(_SOCKS_GREETING)
    return _received(sock, 2) in _SOCKS_METHODS


def _speak_http(sock: socket.socket) -> bool:
    sock.sendall(_HTTP_GREETING)
    return _received(sock, len(_HTTP_ANSWER)) == _HTTP_ANSWER


_PROTOCOLS: dict[str, Callable[[socket.socket], bool]] = {
    "SOCKS": _speak_socks,
    "HTTP": _speak_http,
}


def _received(sock: socket.socket, count: int) -> bytes:
    """Return `count` bytes, fewer where the stream ends before."""
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def _asked_jump_host(flags: Layer, config: str | None) -> str:
    loaded = load_bridge(flags, config)
    settings = loaded.settings
    if settings.jump is None:
        return "the jump server is in the bridge"
    probe = Probe(
        settings.jump,
        loaded.secret(),
        dial_timeout=settings.dial_timeout,
        jump_timeout=settings.jump_timeout,
    )
    with closing(probe):
        probe.look_up()
        probe.connect()
        probe.challenge()
        probe.prove()
    return f"jump host {settings.jump} accepts the secret"
