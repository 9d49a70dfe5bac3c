"""The competitors: how each is started, and how the load generator connects through it.

They run with the settings that their manuals recommend, else with their defaults; limits on the
number of clients are raised. Their logs of connections go to a file, as in ordinary use.
"""

import getpass
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.install import PACKAGES, find, install_environment
from bench.processes import BenchError, Hosts, Processes, free_port

Starter = Callable[[Processes, Hosts], str]
"""Starts a competitor's programs and returns the route through them for `load/routes.c`."""


@dataclass(frozen=True, slots=True)
class Competitor:
    """One row of the tables.

    Args:
        name: of the row.
        hops: number of programs between client and target.
        start: starts the programs.
        programs: required programs, keys of `install.PACKAGES`.
        environment: required environment, a key of `install.ENVIRONMENTS`; empty for none.
        is_netjumper: whether it is netjumper.
        idles: whether idle tunnels are measured.
    """

    name: str
    hops: int
    start: Starter
    programs: tuple[str, ...] = ()
    environment: str = ""
    is_netjumper: bool = False
    idles: bool = True


def _direct(_processes: Processes, _hosts: Hosts) -> str:
    return "direct"


def _microsocks(processes: Processes, hosts: Hosts) -> str:
    port, host = free_port(), hosts.far
    processes.start(_program("microsocks"), "-i", host.address, "-p", port, host=host, port=port)
    return f"socks5:{host.address}:{port}"


_DANTE = """\
logoutput: stderr
internal: {address} port = {port}
external: {address}
clientmethod: none
socksmethod: none
{users}client pass {{
  from: 0.0.0.0/0 to: 0.0.0.0/0
  log: error
}}
socks pass {{
  from: 0.0.0.0/0 to: 0.0.0.0/0
  protocol: tcp
  log: error
}}
"""


def _dante(processes: Processes, hosts: Hosts) -> str:
    port, host = free_port(), hosts.far
    settings = processes.folder / "danted.conf"
    # Only root can change to another user.
    users = "user.privileged: root\nuser.unprivileged: nobody\n" if os.geteuid() == 0 else ""
    settings.write_text(_DANTE.format(address=host.address, port=port, users=users))
    processes.start(_program("danted"), "-f", settings, host=host, port=port)
    return f"socks5:{host.address}:{port}"


_TINYPROXY = """\
Listen {address}
Port {port}
Timeout 600
LogLevel Info
MaxClients 20000
"""


def _tinyproxy(processes: Processes, hosts: Hosts) -> str:
    port, host = free_port(), hosts.far
    settings = processes.folder / "tinyproxy.conf"
    settings.write_text(_TINYPROXY.format(address=host.address, port=port))
    processes.start(_program("tinyproxy"), "-d", "-c", settings, host=host, port=port)
    return f"http:{host.address}:{port}"


def _pproxy(processes: Processes, hosts: Hosts) -> str:
    port, host = free_port(), hosts.far
    command = install_environment("pproxy") / "pproxy"
    processes.start(command, "-l", f"socks5://{host.address}:{port}", host=host, port=port)
    return f"socks5:{host.address}:{port}"


def _pproxy_chain(processes: Processes, hosts: Hosts) -> str:
    remote = _pproxy(processes, hosts).removeprefix("socks5:")
    port, host = free_port(), hosts.near
    command = install_environment("pproxy") / "pproxy"
    listeners = ("-l", f"socks5://127.0.0.1:{port}", "-r", f"socks5://{remote}")
    processes.start(command, *listeners, host=host, port=port)
    return f"socks5:127.0.0.1:{port}"


def _shadowsocks(processes: Processes, hosts: Hosts) -> str:
    far, near = free_port(), free_port()
    # Method and timeout are those of Debian's settings file.
    options = ("-k", os.urandom(16).hex(), "-m", "chacha20-ietf-poly1305", "-t", "86400")
    server = ("-s", hosts.far.address, "-p", str(far), *options)
    processes.start(_program("ss-server"), *server, host=hosts.far, port=far)
    processes.start(_program("ss-local"), *server, "-l", near, host=hosts.near, port=near)
    return f"socks5:127.0.0.1:{near}"


_SSHD = """\
ListenAddress {address}:{port}
HostKey {folder}/key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""


def _ssh(processes: Processes, hosts: Hosts) -> str:
    far, near = free_port(), free_port()
    key, settings = processes.folder / "key", processes.folder / "sshd_config"
    subprocess.run([_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    if os.geteuid() == 0:  # sshd needs this folder, which Debian's service creates
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    settings.write_text(
        _SSHD.format(address=hosts.far.address, port=far, folder=processes.folder), encoding="ascii"
    )
    processes.start(_program("sshd"), "-D", "-e", "-f", settings, host=hosts.far, port=far)
    client = ("-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes")
    trust = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={processes.folder}/known")
    where = ("-p", str(far), "-N", "-D", f"127.0.0.1:{near}")
    destination = f"{getpass.getuser()}@{hosts.far.address}"
    command: list[str | Path] = [_program("ssh"), *client, *trust, *where, destination]
    processes.start(*command, host=hosts.near, port=near)
    return f"socks5:127.0.0.1:{near}"


def _program(name: str) -> str:
    path = find(name)
    if path is None:
        raise BenchError(f"{name} is not installed: apt install {PACKAGES[name]}")
    return path


DIRECT = Competitor("direct", 0, _direct, idles=False)
MICROSOCKS = Competitor("microsocks", 1, _microsocks, ("microsocks",))
SHADOWSOCKS = Competitor("ss-local + ss-server", 2, _shadowsocks, ("ss-local", "ss-server"))
SSH = Competitor("ssh -D", 2, _ssh, ("ssh", "sshd", "ssh-keygen"))
OTHERS = (
    DIRECT,
    MICROSOCKS,
    Competitor("dante", 1, _dante, ("danted",)),
    Competitor("tinyproxy", 1, _tinyproxy, ("tinyproxy",)),
    Competitor("pproxy", 1, _pproxy, environment="pproxy"),
    SHADOWSOCKS,
    SSH,
    Competitor("pproxy, two of them", 2, _pproxy_chain, environment="pproxy"),
)
