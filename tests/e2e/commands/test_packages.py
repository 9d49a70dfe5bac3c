"""pip, apt and npm through bridge and jump server, from indexes of our own."""

import os
import re
import ssl
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.http_servers import HOME, file_server
from tests.support.packages import (
    DEB,
    GREETING,
    TARBALL,
    WHEEL,
    apt_repository,
    npm_registry,
    pip_index,
)
from tests.support.programs import Chain, installed, run

Done = subprocess.CompletedProcess[bytes]

PIP = installed("pip")
CONFIGURATIONS = {
    "by --proxy": lambda proxy: (["--proxy", proxy], {}),
    "by the environment": lambda proxy: ([], {"http_proxy": proxy, "https_proxy": proxy}),
}


def pip_download(index: str, folder: Path, *arguments: str, **env: str) -> Done:
    """Download the package without a user's settings."""
    options = [
        "--isolated", "--no-cache-dir", "--disable-pip-version-check", "--retries=0",
        "--timeout=20", "--no-deps", f"--dest={folder}", f"--index-url={index}",
    ]  # fmt: skip
    # In requests these win over --cert.
    own = {"PIP_CONFIG_FILE": os.devnull, "REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}
    return run([PIP, "download", *options, *arguments, "greeting"], own | env)


@pytest.mark.needs(PIP)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_pip_downloads_a_wheel(
    scheme: str,
    configuration: str,
    chain: Chain,
    certified: ssl.SSLContext,
    ca_file: Path,
    tmp_path: Path,
) -> None:
    arguments, env = CONFIGURATIONS[configuration](f"http://{chain.http}")
    files = pip_index()
    with file_server("pypi", files, certified if scheme == "https" else None) as origin:
        trust = {
            "http": f"--trusted-host=pypi.{HOME}",
            "https": f"--cert={ca_file}",
        }[scheme]
        done = pip_download(origin.url("/simple/"), tmp_path, trust, *arguments, **env)
        chain.bridge.wait_for(rf"-> {origin.host_port}: ")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / WHEEL).read_bytes() == files[f"/simple/greeting/{WHEEL}"]


@pytest.mark.needs(PIP)
def test_pip_reports_a_refused_target(chain: Chain, refusing: str, tmp_path: Path) -> None:
    proxy = f"http://{chain.http}"
    # pip prints the reason only when it tries again.
    done = pip_download(f"https://{refusing}/", tmp_path, "--retries=1", "--proxy", proxy)

    assert done.returncode == 1
    assert re.search(rb"Tunnel connection failed: 502 .*refused", done.stderr)
    chain.bridge.wait_for(rf"-> {refusing}: .*TargetRefused")


APT_CONF = """\
Dir "{folder}/";
Dir::State::status "{folder}/status";
Dir::Etc "{folder}/etc";
APT::Sandbox::User "";
Acquire::Retries "0";
Acquire::http::Proxy "http://{proxy}";
Acquire::https::Proxy "http://{proxy}";
Acquire::https::CaInfo "{ca_file}";
"""


@pytest.fixture
def apt_folder(chain: Chain, ca_file: Path, tmp_path: Path) -> Path:
    """A folder with all of apt's state, so that the machine's own is not used."""
    folder = tmp_path / "apt"
    for name in ("etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d",
                 "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):  # fmt: skip
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    settings = APT_CONF.format(folder=folder, proxy=chain.http, ca_file=ca_file)
    (folder / "apt.conf").write_text(settings)
    return folder


def apt_get(folder: Path, place: str, *arguments: str) -> Done:
    (folder / "etc/sources.list").write_text(f"deb [trusted=yes] {place} home/\n")
    command = ["env", "-C", str(folder), "apt-get", "--quiet", *arguments]
    return run(command, {"APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C"})


@pytest.mark.needs("apt-get", "dpkg-deb")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_apt_updates_and_downloads_a_package(
    scheme: str, chain: Chain, certified: ssl.SSLContext, apt_folder: Path, tmp_path: Path
) -> None:
    files = apt_repository(tmp_path)
    with file_server("debian", files, certified if scheme == "https" else None) as origin:
        updated = apt_get(apt_folder, origin.url(), "update")
        downloaded = apt_get(apt_folder, origin.url(), "download", "greeting")
        chain.bridge.wait_for(rf"-> {origin.host_port}: ")

    assert updated.returncode == 0, updated.stderr
    assert downloaded.returncode == 0, downloaded.stderr
    assert (apt_folder / DEB).read_bytes() == files[f"/home/{DEB}"]


@pytest.mark.needs("apt-get")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_apt_reports_a_refused_target(
    scheme: str, chain: Chain, refusing: str, apt_folder: Path
) -> None:
    updated = apt_get(
        apt_folder, f"{scheme}://{refusing}/", "-o", "APT::Update::Error-Mode=any", "update"
    )

    assert updated.returncode == 100
    assert re.search(rb"\b502 +(Bad Gateway|.*refused)", updated.stderr), updated.stderr
    chain.bridge.wait_for(rf"-> {refusing}: .*TargetRefused")


def npm(folder: Path, registry: str, proxy: str, *arguments: str) -> Done:
    """Run npm in `folder`, which also holds its cache."""
    settings = {
        "registry": registry,
        "proxy": proxy,
        "https_proxy": proxy,
        "cache": str(folder / "cache"),
        "userconfig": str(folder / "npmrc"),
        "globalconfig": str(folder / "global-npmrc"),
        "fetch_retries": "0",
        "update_notifier": "false",
        "audit": "false",
        "fund": "false",
    }
    env = {f"npm_config_{name}": value for name, value in settings.items()}
    return run(["npm", "--prefix", str(folder), *arguments], env)


@pytest.mark.needs("npm")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_npm_installs_and_packs_a_package(
    scheme: str, chain: Chain, certified: ssl.SSLContext, ca_file: Path, tmp_path: Path
) -> None:
    files: dict[str, bytes] = {}
    ca = f"--cafile={ca_file}"
    with file_server("npm", files, certified if scheme == "https" else None) as origin:
        files |= npm_registry(origin.url(""))
        there = (origin.url(), f"http://{chain.http}")
        installed = npm(tmp_path, *there, ca, "install", "greeting")
        packed = npm(tmp_path, *there, ca, "pack", "greeting", f"--pack-destination={tmp_path}")
        chain.bridge.wait_for(rf"-> {origin.host_port}: ")

    assert installed.returncode == 0, installed.stderr
    assert (tmp_path / "node_modules/greeting/greeting.txt").read_bytes() == GREETING
    assert packed.returncode == 0, packed.stderr
    with tarfile.open(tmp_path / TARBALL) as archive:
        assert "package/greeting.txt" in archive.getnames()


@pytest.mark.needs("npm")
def test_npm_reports_a_refused_target(chain: Chain, refusing: str, tmp_path: Path) -> None:
    done = npm(tmp_path, f"http://{refusing}/", f"http://{chain.http}", "install", "greeting")

    assert done.returncode != 0
    assert b"502 Bad Gateway" in done.stderr
    chain.bridge.wait_for(rf"-> {refusing}: .*TargetRefused")
