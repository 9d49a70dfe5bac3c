"""netjumper in its modes. To add one, add a line to `LOOPBACK_MODES` or `WAN_MODES`."""

import functools
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.installing import install_environment
from bench.peers import Peer
from bench.stage import Ground, Stage, free_port


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to run bridge and jump server.

    Args:
        name: of the row; empty for the one without a name of its own.
        bridge: the bridge's options.
        server: the jump server's options.
        needs: an option of `netjumper-bridge`; without it there is no such row.
        where_known: an option of the bridge and its value, given where the bridge knows it.
    """

    name: str = ""
    bridge: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    needs: str = ""
    where_known: tuple[str, ...] = ()


_COLD = ("--max-parked", "0")
_NEVER_EARLY = ("--early-data", "never")

LOOPBACK_MODES = (
    Mode(),
    Mode("nothing parked", _COLD),
    Mode("2 workers", ("--workers", "2"), ("--workers", "2"), needs="--workers"),
)
WAN_MODES = (
    Mode("cold", _COLD, where_known=_NEVER_EARLY),
    Mode("cold, early data", (*_COLD, "--early-data", "always"), needs="--early-data"),
    Mode("parked", where_known=_NEVER_EARLY),
    Mode("parked, early data", ("--early-data", "known"), needs="--early-data"),
)


def one_hop(environment: str) -> Peer:
    """Return the jump server alone, which the load generator speaks to in its own protocol.

    Args:
        environment: one of `installing.ENVIRONMENTS`.
    """

    def start(stage: Stage, ground: Ground) -> str:
        address, secret = _start_server(stage, ground, environment, ())
        return f"netjumper:{address}:{secret}"

    return Peer(_named("netjumper", environment), 1, start, environment=environment, ours=True)


def chain(environment: str, mode: Mode) -> Peer:
    """Return bridge and jump server.

    Args:
        environment: one of `installing.ENVIRONMENTS`.
        mode: how they are run.
    """

    def start(stage: Stage, ground: Ground) -> str:
        address, secret = _start_server(stage, ground, environment, mode.server)
        port = start_bridge(stage, ground, environment, mode, address, secret)
        return f"socks5:127.0.0.1:{port}"

    name = _named("bridge + netjumper", environment, mode.name)
    # What is parked has no part in what an open tunnel takes.
    return Peer(
        name,
        2,
        start,
        environment=environment,
        ours=True,
        needs=mode.needs,
        idles=not mode.name,
    )


def start_bridge(
    stage: Stage, ground: Ground, environment: str, mode: Mode, jump: str, secret: str
) -> int:
    """Start the bridge, and return the port where it speaks SOCKS."""
    port = free_port()
    extra = mode.where_known if knows(environment, *mode.where_known[:1]) else ()
    command = install_environment(environment) / "netjumper-bridge"
    doors = ("--jump", jump, "--socks", f"127.0.0.1:{port}")
    options = (*doors, *mode.bridge, *extra)
    stage.start(command, *options, host=ground.near, port=port, env=settings(secret))
    return port


def settings(secret: str) -> dict[str, str]:
    """Return the variables that give a command its secret, and no settings file."""
    return {"NETJUMPER_SECRET": secret, "NETJUMPER_CONFIG": "/dev/null"}


def knows(environment: str, option: str = "") -> bool:
    """Tell whether the bridge has an option; an empty one it has."""
    return option in _help(install_environment(environment))


def _start_server(
    stage: Stage, ground: Ground, environment: str, options: tuple[str, ...]
) -> tuple[str, str]:
    port, secret = free_port(), secrets.token_hex(16)
    address = f"{ground.far.address}:{port}"
    command = install_environment(environment) / "netjumper"
    stage.start(
        command, "--listen", address, *options, host=ground.far, port=port, env=settings(secret)
    )
    return address, secret


@functools.cache
def _help(commands: Path) -> str:
    words = [str(commands / "netjumper-bridge"), "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _named(name: str, environment: str, mode: str = "") -> str:
    details = [detail for detail in (environment * (environment == "uvloop"), mode) if detail]
    return f"{name} ({', '.join(details)})" if details else name
