"""ssh through the bridge, by OpenBSD's nc as ProxyCommand."""

import os
import pwd
import random
import shutil
import socketserver
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.http_servers import HOME
from tests.support.programs import TIMEOUT_S, Chain, clean_environment, run
from tests.support.servers import serve_in_threads

pytestmark = pytest.mark.needs("ssh", "ssh-keygen", "sshd", "nc.openbsd")

NOISE = random.Random(22).randbytes(4 << 20)
PROXIES = {
    "-X 5": lambda chain: f"nc.openbsd -X 5 -x {chain.socks} %h %p",
    "-X connect": lambda chain: f"nc.openbsd -X connect -x {chain.http} %h %p",
}

SSHD = """\
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
"""
SSH = [
    "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
    "-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlias=home", "-o", "ConnectTimeout=20",
]  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the host's key and the user's."""
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        made = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)])
        assert made.returncode == 0, made.stderr
    kind, key, *_ = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"home {kind} {key}\n")
    (folder / "sshd.conf").write_text(SSHD.format(folder=folder))
    return folder


class _OneSshd(socketserver.BaseRequestHandler):
    """Runs an sshd for a connection, as inetd does: the port is ours, and free."""

    keys: Path

    def handle(self) -> None:
        sshd = shutil.which("sshd")
        assert sshd is not None
        subprocess.run(
            [sshd, "-i", "-q", "-f", str(self.keys / "sshd.conf")],
            stdin=self.request,
            stdout=self.request,
            check=False,
        )


@pytest.fixture
def sshd(keys: Path, unavailable: Callable[[str], None]) -> Iterator[str]:
    """The port of an sshd for the user that runs the tests."""
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        unavailable("root's sshd needs the folder /run/sshd")
    handler = type("Sshd", (_OneSshd,), {"keys": keys})
    with serve_in_threads(handler) as port:
        yield f"ssh.{HOME}:{port}"


def ssh(
    keys: Path, proxy: str, place: str, command: str, data: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `command` at `place` with `data` as its input."""
    host, _, port = place.rpartition(":")
    files = ["-i", str(keys / "user"), "-o", f"UserKnownHostsFile={keys / 'known'}"]
    user = pwd.getpwuid(os.geteuid()).pw_name
    where = ["-o", f"ProxyCommand={proxy}", "-p", port, f"{user}@{host}"]
    return subprocess.run(
        [*SSH, *files, *where, command],
        input=data,
        env=clean_environment(),
        capture_output=True,
        timeout=TIMEOUT_S * 2,
        check=False,
    )


@pytest.mark.parametrize("proxy", PROXIES)
def test_ssh_runs_a_command_and_carries_data_both_ways(
    proxy: str, chain: Chain, keys: Path, sshd: str
) -> None:
    done = ssh(keys, PROXIES[proxy](chain), sshd, "cat; echo over >&2; exit 7", NOISE)

    assert (done.returncode, done.stderr) == (7, b"over\n")
    assert done.stdout == NOISE
    chain.bridge.wait_for(rf"-> {sshd}: up \d{{7}}")


@pytest.mark.parametrize("proxy", PROXIES)
def test_ssh_over_nc_reports_a_refused_target(
    proxy: str, chain: Chain, keys: Path, refusing: str
) -> None:
    done = ssh(keys, PROXIES[proxy](chain), refusing, "true")

    assert done.returncode == 255
    output = {
        "-X 5": b"SOCKSv5 error: Connection refused",
        "-X connect": b'Proxy error: "HTTP/1.1 502 ',
    }
    assert output[proxy] in done.stderr
    chain.bridge.wait_for(rf"-> {refusing}: .*TargetRefused")


def test_ssh_over_nc_reports_a_wrong_secret(misconfigured: str, keys: Path, refusing: str) -> None:
    done = ssh(keys, f"nc.openbsd -X 5 -x {misconfigured} %h %p", refusing, "true")

    assert done.returncode == 255
    assert b"SOCKSv5 error: General SOCKS server failure" in done.stderr
