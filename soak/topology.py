"""A jump server and bridges as processes, and the resources of each of them."""

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
GRACE_PERIOD_S = 3
"""Time that a stopping server leaves its tunnels."""
_CLEAR = "--jump=127.0.0.1:{clear}"
_TLS = "--jump=netjumper+tls://127.0.0.1:{tls}?pin={pin}"
BRIDGES = {
    "bridge, clear": (SECRET, [_CLEAR]),
    "bridge, TLS": (SECRET, [_TLS, "--early-data=always"]),
    "bridge, cold": (SECRET, [_CLEAR, "--max-parked=0", "--early-data=never"]),
    "limited, clear": (LIMITED, [_CLEAR]),
    "limited, TLS": (LIMITED, [_TLS, "--early-data=always"]),
}
"""The secret and the options of each bridge. The first three use parked connections, TLS with
early data, and neither; the tunnels of the last two share one bandwidth."""
BANDWIDTH_MBIT_S = 80
"""About what the limited tunnels move on average, so that the limit delays some of them."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The resources of a process.

    Attributes:
        resident: bytes of resident memory.
        descriptors: open file descriptors.
        threads: its threads.
    """

    resident: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        """Return the resources of process `pid`, from /proc."""
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        fds = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
        return cls(int(found[1]) * 1024 if found else 0, fds, threads)

    @property
    def mebibytes(self) -> float:
        """Resident memory in MiB."""
        return self.resident / (1 << 20)

    def __str__(self) -> str:
        return f"{self.mebibytes:.1f} MiB, {self.descriptors} fd"


@dataclass(slots=True)
class Topology:
    """A jump server with two listeners, and a bridge for each entry of `BRIDGES`.

    Attributes:
        programs: starts the processes.
        options: more options of the jump server.
        ports: of 127.0.0.1, by listener or purpose.
        pin: of the jump server's certificate.
        processes: that run now, by name.
    """

    programs: Processes
    options: tuple[str, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)
    pin: str = ""
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self) -> None:
        """Choose ports, write keys and settings, and start the jump server."""
        names = ["clear", "tls", "target", "web", "closed"]
        names += [f"{name} {listener}" for name in BRIDGES for listener in ("socks", "http")]
        while len(set(self.ports.values())) < len(names):
            self.ports = {name: free_port() for name in names}
        keygen = subprocess.run(
            [COMMANDS / "netjumper", "keygen", "--tls", self._certificate],
            check=True,
            capture_output=True,
            text=True,
        )
        self.pin = keygen.stdout.strip()
        self._clients.write_text(
            f'[limited]\nsecrets = ["{LIMITED}"]\nbandwidth = {BANDWIDTH_MBIT_S}\n'
        )
        self._clients.chmod(0o600)
        self.start_server()

    def start_bridges(self) -> None:
        """Start a bridge for each entry of `BRIDGES`."""
        for name, (secret, template) in BRIDGES.items():
            ports = {listener: self.ports[f"{name} {listener}"] for listener in ("socks", "http")}
            listeners = [f"--{listener}=127.0.0.1:{port}" for listener, port in ports.items()]
            options = [it.format(**self.ports, pin=self.pin) for it in template]
            self._start(name, ports["socks"], secret, "netjumper-bridge", *options, *listeners)

    def start_bridge(self, name: str, *options: str) -> int:
        """Start one more bridge, and return its port for both protocols."""
        port = free_port()
        jump = _CLEAR.format(**self.ports)
        listener = f"--mixed=127.0.0.1:{port}"
        self._start(name, port, SECRET, "netjumper-bridge", jump, listener, *options)
        return port

    def start_server(self) -> None:
        """Start the jump server, on the same ports every time."""
        self._start(
            "server", self.ports["clear"], SECRET,
            "netjumper", f"--listen=127.0.0.1:{self.ports['clear']}",
            f"--listen-tls=127.0.0.1:{self.ports['tls']}",
            f"--certificate-file={self._certificate}", f"--clients-file={self._clients}",
            "--allow=127.0.0.0/8", "--allow=::1", f"--grace-period={GRACE_PERIOD_S}", *self.options,
        )  # fmt: skip

    def stop(self, name: str, signal_number: int = signal.SIGTERM) -> int:
        """Stop a process with a signal and return its exit status."""
        process = self.processes.pop(name)
        self.programs.end(process, signal_number)
        return process.returncode

    def client_ports(self, bridge: str) -> Ports:
        """Return the ports that a client of `bridge` connects to."""
        ports = self.ports
        return Ports(
            socks=ports[f"{bridge} socks"], http=ports[f"{bridge} http"],
            target=ports["target"], web=ports["web"], closed=ports["closed"],
        )  # fmt: skip

    def footprints(self) -> Mapping[str, Footprint]:
        """Return the current resources of each process."""
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
    """Run a jump server and the bridges until the block ends.

    Args:
        logs: the folder for their output.
        options: more options of the jump server.
        bridges: whether bridges are started.
    """
    with Processes(logs, "soak") as programs:
        topology = Topology(programs, options)
        topology.start()
        if bridges:
            topology.start_bridges()
            time.sleep(0.5)  # they park their first connections
        yield topology
