"""`netjumper-bridge healthcheck`: does the bridge on this machine answer?

A greeting on each listener, answered without a tunnel and without a password: SOCKS5's method
selection (RFC 1928 section 3), and `OPTIONS *`, HTTP's ping (RFC 9110 section 9.3.7).
"""

import argparse
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse

from netjumper.app.bridge import load_bridge
from netjumper.app.probes import probes_of
from netjumper.cli import server
from netjumper.cli.arguments import PLACES, Flags, Parser, source_of_flags
from netjumper.cli.output import say
from netjumper.daemon import process
from netjumper.diagnostics.listener_check import (
    BRIDGE,
    SERVER,
    Speak,
    Unhealthy,
    check_listener,
    received,
    running_service,
)
from netjumper.diagnostics.probe import Probe
from netjumper.errors import JumpHostError, SettingsError
from netjumper.settings.bridge import BridgeSettings, RunningBridge, Unopened
from netjumper.settings.loader import Source, load

_EXAMPLES = """\
examples:
  netjumper-bridge healthcheck
      ask the listeners that the settings name; the exit status is 0 or 1
  netjumper-bridge healthcheck --mixed unix:/run/netjumper/socket
  netjumper-bridge healthcheck --deep
      reach the jump server too, and check the secret
  netjumper-bridge healthcheck --running
      in a container: ask whichever of the two commands runs there (the bridge, where both do), at
      the addresses that its own command line, the environment and the settings file give

"""
_SOCKS_GREETING = b"\5\2\0\2"
_SOCKS_METHODS = frozenset({b"\5\0", b"\5\2", b"\5\xff"})
_HTTP_GREETING = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"
_ENOUGH = 4096
"""Bytes of an answer's body in which a bridge has said that it is one."""


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
    parser.add_argument(
        "--running",
        action="store_true",
        help="take the options of the netjumper-bridge, or netjumper, that runs here",
    )
    flags = Flags(parser, BridgeSettings)
    flags.group(
        "where it listens (default: --socks 127.0.0.1:1080 --http 127.0.0.1:8118)",
        "socks",
        "http",
        "mixed",
    )
    flags.group(
        "for --deep",
        "jump",
        "secret_file",
        embedded="the jump server is in the bridge itself, so there is none to reach",
    )
    flags.tls()
    flags.group("timeouts", "dial_timeout", "jump_timeout")
    flags.sockets()
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
    flags, config = source_of_flags(arguments, BridgeSettings), getattr(arguments, "config", None)
    if hasattr(arguments, "running"):
        name, line = running_service()
        if name == SERVER:
            if hasattr(arguments, "deep"):
                raise Unhealthy("--deep: what runs here is a jump server, which has none behind it")
            return server.check_health(line)
        # Options that only the bridge has are passed over.
        theirs, _ = build_parser().parse_known_args(line)
        flags, config = _beneath(theirs, flags), config or getattr(theirs, "config", None)
    settings = load(RunningBridge, flags, config).settings
    answered = list(_answers(settings))
    if hasattr(arguments, "deep"):
        answered.append(_asked_jump_hosts(flags, config))
    say(f"healthy: {', '.join(answered)}")
    return process.OK


def _beneath(theirs: argparse.Namespace, own: Source) -> Source:
    """Return what the bridge's command line gives, with our own flags over it."""
    layer = source_of_flags(theirs, BridgeSettings)
    layer.values.update(own.values)
    layer.origins.update(own.origins)
    return layer


def _answers(settings: BridgeSettings) -> Iterator[str]:
    for door, addresses in settings.doors.items():
        for address in addresses:
            for protocol, exchange in _PROTOCOLS.items():
                if door in (protocol.lower(), "mixed"):
                    yield check_listener(BRIDGE, protocol, address, exchange, settings.dial_timeout)


def _speak_socks(sock: socket.socket) -> bool:
    sock.sendall(_SOCKS_GREETING)
    return received(sock, 2) in _SOCKS_METHODS


def _speak_http(sock: socket.socket) -> bool:
    """Any web server answers, some with 200 too: what counts is that a bridge says what it is."""
    sock.sendall(_HTTP_GREETING)
    with closing(HTTPResponse(sock, method="OPTIONS")) as answer:
        try:
            answer.begin()
            return answer.status == HTTPStatus.OK and BRIDGE.encode() in answer.read(_ENOUGH)
        except HTTPException:
            return False


_PROTOCOLS: dict[str, Speak] = {"SOCKS": _speak_socks, "HTTP": _speak_http}


def _asked_jump_hosts(flags: Source, config: str | None) -> str:
    """Ask them in turn until one lets us in."""
    probes = probes_of(load_bridge(flags, config, Unopened))
    if not probes:
        return "the jump server is in the bridge"
    errors = []
    for probe in probes:
        try:
            _ask_jump_host(probe)
        except JumpHostError as error:
            errors.append(error)
        else:
            failed = f" ({'; '.join(map(str, errors))})" if errors else ""
            return f"jump host {probe.jump_host} accepts the secret{failed}"
    if len(errors) > 1:
        raise Unhealthy("; ".join(map(str, errors)))
    raise errors[0]


def _ask_jump_host(probe: Probe) -> None:
    with closing(probe):
        probe.look_up()
        probe.connect()
        probe.challenge()
        probe.prove()
