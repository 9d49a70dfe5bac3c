"""A jump server and bridges as processes, and what each of them has."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import LOOPBACK, Processes, free_port
from soak.client import Ports

SECRET = "only for the soak, unlimited"  # noqa: S105
LIMITED = "only for the soak, with limited bandwidth"
COMMANDS = Path(sys.executable).parent
GRACE = 3
"""Seconds that a stopping server gives its tunnels."""
_CLEAR = "--jump=127.0.0.1:{clear}"
_TLS = "--jump=netjumper+tls://127.0.0.1:{tls}?pin={pin}"
BRIDGES = {
    "bridge, clear": (SECRET, [_CLEAR]),
    "bridge, TLS": (SECRET, [_TLS, "--early-data=always"]),
    "bridge, cold": (SECRET, [_CLEAR, "--max-parked=0", "--early-data=never"]),
    "limited, clear": (LIMITED, [_CLEAR]),
    "limited, TLS": (LIMITED, [_TLS, "--early-data=always"]),
}
"""The secret and the options of each: connections that are parked, early data, TLS, none of
them; the last two have one bandwidth for all their tunnels."""
BANDWIDTH = 80
"""Mbit/s: as much as these tunnels move on average, so that they wait for it now and then."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The resources of a process."""

    resident: int
    """Bytes."""
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        """Read them from /proc."""
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        fds = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
        return cls(int(found[1]) * 1024 if found else 0, fds, threads)

    @property
    def mebibytes(self) -> float:
        """What is resident."""
        return self.resident / (1 << 20)

    def __str__(self) -> str:
        return f"{self.mebibytes:.1f} MiB, {self.descriptors} fd"


@dataclass(slots=True)
class Topology:
    """The processes: a server with two listeners, a bridge of each kind, and a target."""

    programs: Processes
    options: tuple[str, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)
    pin: str = ""
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self) -> None:
        """Start the server."""
        names = ["clear", "tls", "target", "web", "closed"]
        names += [f"{name} {listener}" for name in BRIDGES for listener in ("socks", "http")]
        while len(set(self.ports.values())) < len(names):
            self.ports = {name: free_port() for name in names}
        made = subprocess.run(
            [COMMANDS / "netjumper", "keygen", "--tls", self._certificate],
            check=True,
            capture_output=True,
            text=True,
        )
        self.pin = made.stdout.strip()
        self._clients.write_text(f'[limited]\nsecrets = ["{LIMITED}"]\nbandwidth = {BANDWIDTH}\n')
        self._clients.chmod(0o600)
        self.start_server()

    def start_bridges(self) -> None:
        """Start a bridge of each kind."""
        for name, (secret, options) in BRIDGES.items():
            ports = {listener: self.ports[f"{name} {listener}"] for listener in ("socks", "http")}
            listeners = [f"--{listener}=127.0.0.1:{port}" for listener, port in ports.items()]
            message = [it.format(**self.ports, pin=self.pin) for it in options]
            self._start(name, ports["socks"], secret, "netjumper-bridge", *message, *listeners)

    def start_server(self) -> None:
        """Start the jump server, on the same ports every time."""
        self._start(
            "server", self.ports["clear"], SECRET,
            "netjumper", f"--listen=127.0.0.1:{self.ports['clear']}",
            f"--listen-tls=127.0.0.1:{self.ports['tls']}",
            f"--certificate-file={self._certificate}", f"--clients-file={self._clients}",
            "--allow=127.0.0.0/8", "--allow=::1", f"--grace-period={GRACE}", *self.options,
        )  # fmt: skip

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """End one of them, and return its exit status."""
        process = self.processes.pop(name)
        self.programs.end(process, number)
        return process.returncode

    def places(self, bridge: str) -> Ports:
        """Return where a client of that bridge goes."""
        ports = self.ports
        return Ports(
            socks=ports[f"{bridge} socks"], http=ports[f"{bridge} http"],
            target=ports["target"], web=ports["web"], closed=ports["closed"],
        )  # fmt: skip

    def have(self) -> Mapping[str, Footprint]:
        """Return what each process has now."""
        return {name: Footprint.of(process.pid) for name, process in self.processes.items()}

    @property
    def _certificate(self) -> Path:
        return self.programs.folder / "server.pem"

    @property
    def _clients(self) -> Path:
        return self.programs.folder / "clients.toml"

    def _start(self, name: str, port: int, secret: str, command: str, *options: str) -> None:
        self.processes[name] = self.programs.start(
            COMMANDS / command, "--log-level=warning", *options,
            host=LOOPBACK, port=port, env={"NETJUMPER_SECRET": secret},
        )  # fmt: skip


@contextmanager
def running_topology(logs: Path, *options: str, bridges: bool = True) -> Iterator[Topology]:
    """Run a server with `options`, and the bridges, until the block ends.

    Args:
        logs: the folder for their output.
        options: more options of the server.
        bridges: whether there are any.
    """
    with Processes(logs, "soak") as programs:
        topology = Topology(programs, options)
        topology.start()
        if bridges:
            topology.start_bridges()
            time.sleep(0.5)  # they park their first connections
        yield topology
