"""netjumper in its modes. To add one, add a line to `LOOPBACK_MODES` or `WAN_MODES`."""

import secrets
import subprocess
from dataclasses import dataclass

from bench.competitors import Competitor
from bench.install import install_environment
from bench.processes import Hosts, Processes, free_port


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to run bridge and jump server.

    Args:
        name: of the row; empty for the one without a name of its own.
        bridge: the bridge's options.
        server: the jump server's options.
        tls: whether there is TLS between them, with a pinned certificate.
    """

    name: str = ""
    bridge: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    tls: bool = False


_COLD = ("--max-parked", "0")
_NEVER_EARLY = ("--early-data", "never")

LOOPBACK_MODES = (
    Mode(),
    Mode("TLS", tls=True),
    Mode("nothing parked", _COLD),
    Mode("2 workers", ("--workers", "2"), ("--workers", "2")),
)
WAN_MODES = (
    Mode("cold", (*_COLD, *_NEVER_EARLY)),
    Mode("cold, early data", (*_COLD, "--early-data", "always")),
    Mode("parked", _NEVER_EARLY),
    Mode("parked, early data", ("--early-data", "known")),
)


def one_hop(environment: str) -> Competitor:
    """Return the jump server alone, which the load generator speaks to in its own protocol.

    Args:
        environment: one of `installing.ENVIRONMENTS`.
    """

    def start(runner: Processes, hosts: Hosts) -> str:
        address, secret = _start_server(runner, hosts, environment, Mode())
        return f"netjumper:{address}:{secret}"

    return Competitor(
        _named("netjumper", environment), 1, start, environment=environment, ours=True
    )


def chain(environment: str, mode: Mode) -> Competitor:
    """Return bridge and jump server.

    Args:
        environment: one of `installing.ENVIRONMENTS`.
        mode: how they are run.
    """

    def start(runner: Processes, hosts: Hosts) -> str:
        address, secret = _start_server(runner, hosts, environment, mode)
        port = start_bridge(runner, hosts, environment, mode, address, secret)
        return f"socks5:127.0.0.1:{port}"

    name = _named("bridge + netjumper", environment, mode.name)
    # What is parked has no part in what an open tunnel takes.
    return Competitor(name, 2, start, environment=environment, ours=True, idles=not mode.name)


def start_bridge(
    runner: Processes, hosts: Hosts, environment: str, mode: Mode, jump: str, secret: str
) -> int:
    """Start the bridge, and return the port where it speaks SOCKS."""
    port = free_port()
    command = install_environment(environment) / "netjumper-bridge"
    listeners = ("--jump", jump, "--socks", f"127.0.0.1:{port}")
    runner.start(
        command, *listeners, *mode.bridge, host=hosts.near, port=port, env=settings(secret)
    )
    return port


def settings(secret: str) -> dict[str, str]:
    """Return the variables that give a command its secret, its targets, and no settings file."""
    return {
        "NETJUMPER_SECRET": secret,
        "NETJUMPER_ALLOW": "0.0.0.0/0",
        "NETJUMPER_CONFIG": "/dev/null",
        # All of the load comes from one address.
        "NETJUMPER_MAX_TUNNELS": "0",
        "NETJUMPER_MAX_TUNNELS_PER_CLIENT": "0",
        "NETJUMPER_MAX_TUNNELS_PER_SOURCE": "0",
    }


def _start_server(runner: Processes, hosts: Hosts, environment: str, mode: Mode) -> tuple[str, str]:
    """Start the jump server, and return what a bridge's --jump takes, and the secret."""
    port, secret = free_port(), secrets.token_hex(16)
    address = f"{hosts.far.address}:{port}"
    command = install_environment(environment) / "netjumper"
    listener, jump = ["--listen", address], address
    if mode.tls:
        file = runner.folder / "server.pem"
        pin = subprocess.check_output([command, "keygen", "--tls", file], text=True).strip()
        listener = ["--listen-tls", address, "--certificate-file", str(file)]
        jump = f"netjumper+tls://{address}?pin={pin}"
    runner.start(command, *listener, *mode.server, host=hosts.far, port=port, env=settings(secret))
    return jump, secret


def _named(name: str, environment: str, mode: str = "") -> str:
    details = [detail for detail in (environment * (environment == "uvloop"), mode) if detail]
    return f"{name} ({', '.join(details)})" if details else name
