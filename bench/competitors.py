"""The peers: how each is started, and how the load generator goes through it.

They have the settings that their manuals recommend or, where these say nothing, the default ones;
limits on the number of clients are raised. What a peer says about its connections goes to a file,
as it would where it is used.
"""

import getpass
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.install import PACKAGES, find, install_environment
from bench.processes import BenchError, Ground, Stage, free_port

Starter = Callable[[Stage, Ground], str]
"""Starts a peer's programs and returns the way through them, as `load/ways.c` has it."""


@dataclass(frozen=True, slots=True)
class Peer:
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


def _direct(_stage: Stage, _ground: Ground) -> str:
    return "direct"


def _microsocks(stage: Stage, ground: Ground) -> str:
    port, host = free_port(), ground.far
    stage.start(_program("microsocks"), "-i", host.address, "-p", port, host=host, port=port)
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


def _dante(stage: Stage, ground: Ground) -> str:
    port, host = free_port(), ground.far
    settings = stage.folder / "danted.conf"
    # Who may not change to another user stays who he is.
    users = "user.privileged: root\nuser.unprivileged: nobody\n" if os.geteuid() == 0 else ""
    settings.write_text(_DANTE.format(address=host.address, port=port, users=users))
    stage.start(_program("danted"), "-f", settings, host=host, port=port)
    return f"socks5:{host.address}:{port}"


_TINYPROXY = """\
Listen {address}
Port {port}
Timeout 600
LogLevel Info
MaxClients 20000
"""


def _tinyproxy(stage: Stage, ground: Ground) -> str:
    port, host = free_port(), ground.far
    settings = stage.folder / "tinyproxy.conf"
    settings.write_text(_TINYPROXY.format(address=host.address, port=port))
    stage.start(_program("tinyproxy"), "-d", "-c", settings, host=host, port=port)
    return f"http:{host.address}:{port}"


def _pproxy(stage: Stage, ground: Ground) -> str:
    port, host = free_port(), ground.far
    command = install_environment("pproxy") / "pproxy"
    stage.start(command, "-l", f"socks5://{host.address}:{port}", host=host, port=port)
    return f"socks5:{host.address}:{port}"


def _pproxy_chain(stage: Stage, ground: Ground) -> str:
    remote = _pproxy(stage, ground).removeprefix("socks5:")
    port, host = free_port(), ground.near
    command = install_environment("pproxy") / "pproxy"
    doors = ("-l", f"socks5://127.0.0.1:{port}", "-r", f"socks5://{remote}")
    stage.start(command, *doors, host=host, port=port)
    return f"socks5:127.0.0.1:{port}"


def _shadowsocks(stage: Stage, ground: Ground) -> str:
    far, near = free_port(), free_port()
    # Method and time-out are those of Debian's own settings file.
    options = ("-k", os.urandom(16).hex(), "-m", "chacha20-ietf-poly1305", "-t", "86400")
    server = ("-s", ground.far.address, "-p", str(far), *options)
    stage.start(_program("ss-server"), *server, host=ground.far, port=far)
    stage.start(_program("ss-local"), *server, "-l", near, host=ground.near, port=near)
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


def _ssh(stage: Stage, ground: Ground) -> str:
    far, near = free_port(), free_port()
    key, settings = stage.folder / "key", stage.folder / "sshd_config"
    subprocess.run([_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    if os.geteuid() == 0:  # root's sshd wants its folder, which a service would have made
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    settings.write_text(
        _SSHD.format(address=ground.far.address, port=far, folder=stage.folder), encoding="ascii"
    )
    stage.start(_program("sshd"), "-D", "-e", "-f", settings, host=ground.far, port=far)
    client = ("-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes")
    trust = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={stage.folder}/known")
    where = ("-p", str(far), "-N", "-D", f"127.0.0.1:{near}")
    whom = f"{getpass.getuser()}@{ground.far.address}"
    command: list[str | Path] = [_program("ssh"), *client, *trust, *where, whom]
    stage.start(*command, host=ground.near, port=near)
    return f"socks5:127.0.0.1:{near}"


def _program(name: str) -> str:
    found = find(name)
    if found is None:
        raise BenchError(f"{name} is not installed: apt install {PACKAGES[name]}")
    return found


DIRECT = Peer("direct", 0, _direct, idles=False)
MICROSOCKS = Peer("microsocks", 1, _microsocks, ("microsocks",))
SHADOWSOCKS = Peer("ss-local + ss-server", 2, _shadowsocks, ("ss-local", "ss-server"))
SSH = Peer("ssh -D", 2, _ssh, ("ssh", "sshd", "ssh-keygen"))
OTHERS = (
    DIRECT,
    MICROSOCKS,
    Peer("dante", 1, _dante, ("danted",)),
    Peer("tinyproxy", 1, _tinyproxy, ("tinyproxy",)),
    Peer("pproxy", 1, _pproxy, environment="pproxy"),
    SHADOWSOCKS,
    SSH,
    Peer("pproxy, two of them", 2, _pproxy_chain, environment="pproxy"),
)
