"""The peers: how each is started, and how the load generator goes through it.

They have the settings that their manuals recommend or, without a recommendation, the default ones;
limits on the number of clients are raised. What a peer logs about its connections goes to a file,
as it would where it is used.
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
"""Starts a peer's programs and returns the way through them, as `load/ways.c` has it."""


@dataclass(frozen=True, slots=True)
class Competitor:
    """One row.

    Args:
        name: what it is called in the tables.
        hops: how many programs a byte passes between client and target.
        start: starts them.
        programs: what must be installed; of `installing.PACKAGES`.
        environment: what else must be; of `installing.ENVIRONMENTS`.
        ours: whether it is netjumper.
        idles: whether it is asked to hold idle tunnels.
    """

    name: str
    hops: int
    start: Starter
    programs: tuple[str, ...] = ()
    environment: str = ""
    ours: bool = False
    idles: bool = True


def _direct(_runner: Processes, _hosts: Hosts) -> str:
    return "direct"


def _microsocks(runner: Processes, hosts: Hosts) -> str:
    port, host = free_port(), hosts.far
    runner.start(_program("microsocks"), "-i", host.address, "-p", port, host=host, port=port)
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


def _dante(runner: Processes, hosts: Hosts) -> str:
    port, host = free_port(), hosts.far
    settings = runner.folder / "danted.conf"
    # Without root, it cannot change to another user.
    users = "user.privileged: root\nuser.unprivileged: nobody\n" if os.geteuid() == 0 else ""
    settings.write_text(_DANTE.format(address=host.address, port=port, users=users))
    runner.start(_program("danted"), "-f", settings, host=host, port=port)
    return f"socks5:{host.address}:{port}"


_TINYPROXY = """\
Listen {address}
Port {port}
Timeout 600
LogLevel Info
MaxClients 20000
"""


def _tinyproxy(runner: Processes, hosts: Hosts) -> str:
    port, host = free_port(), hosts.far
    settings = runner.folder / "tinyproxy.conf"
    settings.write_text(_TINYPROXY.format(address=host.address, port=port))
    runner.start(_program("tinyproxy"), "-d", "-c", settings, host=host, port=port)
    return f"http:{host.address}:{port}"


def _pproxy(runner: Processes, hosts: Hosts) -> str:
    port, host = free_port(), hosts.far
    command = install_environment("pproxy") / "pproxy"
    runner.start(command, "-l", f"socks5://{host.address}:{port}", host=host, port=port)
    return f"socks5:{host.address}:{port}"


def _pproxy_chain(runner: Processes, hosts: Hosts) -> str:
    remote = _pproxy(runner, hosts).removeprefix("socks5:")
    port, host = free_port(), hosts.near
    command = install_environment("pproxy") / "pproxy"
    listeners = ("-l", f"socks5://127.0.0.1:{port}", "-r", f"socks5://{remote}")
    runner.start(command, *listeners, host=host, port=port)
    return f"socks5:127.0.0.1:{port}"


def _shadowsocks(runner: Processes, hosts: Hosts) -> str:
    far, near = free_port(), free_port()
    # Method and time-out are those of Debian's own settings file.
    options = ("-k", os.urandom(16).hex(), "-m", "chacha20-ietf-poly1305", "-t", "86400")
    server = ("-s", hosts.far.address, "-p", str(far), *options)
    runner.start(_program("ss-server"), *server, host=hosts.far, port=far)
    runner.start(_program("ss-local"), *server, "-l", near, host=hosts.near, port=near)
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


def _ssh(runner: Processes, hosts: Hosts) -> str:
    far, near = free_port(), free_port()
    key, settings = runner.folder / "key", runner.folder / "sshd_config"
    subprocess.run([_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    if os.geteuid() == 0:  # root's sshd wants its folder, which a service would have made
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    settings.write_text(
        _SSHD.format(address=hosts.far.address, port=far, folder=runner.folder), encoding="ascii"
    )
    runner.start(_program("sshd"), "-D", "-e", "-f", settings, host=hosts.far, port=far)
    client = ("-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes")
    trust = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={runner.folder}/known")
    where = ("-p", str(far), "-N", "-D", f"127.0.0.1:{near}")
    destination = f"{getpass.getuser()}@{hosts.far.address}"
    command: list[str | Path] = [_program("ssh"), *client, *trust, *where, destination]
    runner.start(*command, host=hosts.near, port=near)
    return f"socks5:127.0.0.1:{near}"


def _program(name: str) -> str:
    found = find(name)
    if found is None:
        raise BenchError(f"{name} is not installed: apt install {PACKAGES[name]}")
    return found


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
