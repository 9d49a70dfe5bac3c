"""Modes of netjumper. To add one, add a line to `LOOPBACK_MODES` or `WAN_MODES`."""

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
        name: of the row; empty for the default mode.
        bridge: options of the bridge.
        server: options of the jump server.
        tls: whether they use TLS, with a pinned certificate.
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
    """Return the jump server alone; the load generator speaks its protocol.

    Args:
        environment: key of `install.ENVIRONMENTS`.
    """

    def start(processes: Processes, hosts: Hosts) -> str:
        address, secret = _start_server(processes, hosts, environment, Mode())
        return f"netjumper:{address}:{secret}"

    return Competitor(
        _row_name("netjumper", environment), 1, start, environment=environment, is_netjumper=True
    )


def chain(environment: str, mode: Mode) -> Competitor:
    """Return a chain of bridge and jump server.

    Args:
        environment: key of `install.ENVIRONMENTS`.
        mode: of both.
    """

    def start(processes: Processes, hosts: Hosts) -> str:
        address, secret = _start_server(processes, hosts, environment, mode)
        port = start_bridge(processes, hosts, environment, mode, address, secret)
        return f"socks5:127.0.0.1:{port}"

    name = _row_name("bridge + netjumper", environment, mode.name)
    # Other modes do not change the memory of an idle tunnel.
    return Competitor(
        name, 2, start, environment=environment, is_netjumper=True, idles=not mode.name
    )


def start_bridge(
    processes: Processes, hosts: Hosts, environment: str, mode: Mode, jump: str, secret: str
) -> int:
    """Start a bridge to the jump server `jump`, and return its SOCKS port."""
    port = free_port()
    command = install_environment(environment) / "netjumper-bridge"
    listeners = ("--jump", jump, "--socks", f"127.0.0.1:{port}")
    processes.start(
        command, *listeners, *mode.bridge, host=hosts.near, port=port, env=settings(secret)
    )
    return port


def settings(secret: str) -> dict[str, str]:
    """Return environment variables with secret, allowed targets, and no settings file."""
    return {
        "NETJUMPER_SECRET": secret,
        "NETJUMPER_ALLOW": "0.0.0.0/0",
        "NETJUMPER_CONFIG": "/dev/null",
        # The whole load comes from one address.
        "NETJUMPER_MAX_TUNNELS": "0",
        "NETJUMPER_MAX_TUNNELS_PER_CLIENT": "0",
        "NETJUMPER_MAX_TUNNELS_PER_SOURCE": "0",
    }


def _start_server(
    processes: Processes, hosts: Hosts, environment: str, mode: Mode
) -> tuple[str, str]:
    """Start a jump server; return the value of --jump for a bridge, and the secret."""
    port, secret = free_port(), secrets.token_hex(16)
    address = f"{hosts.far.address}:{port}"
    command = install_environment(environment) / "netjumper"
    listener, jump = ["--listen", address], address
    if mode.tls:
        file = processes.folder / "server.pem"
        pin = subprocess.check_output([command, "keygen", "--tls", file], text=True).strip()
        listener = ["--listen-tls", address, "--certificate-file", str(file)]
        jump = f"netjumper+tls://{address}?pin={pin}"
    processes.start(
        command, *listener, *mode.server, host=hosts.far, port=port, env=settings(secret)
    )
    return jump, secret


def _row_name(name: str, environment: str, mode: str = "") -> str:
    details = [detail for detail in (environment * (environment == "uvloop"), mode) if detail]
    return f"{name} ({', '.join(details)})" if details else name
