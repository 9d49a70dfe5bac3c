"""`netjumper-bridge exec -- PROGRAM`, with programs that read only the environment."""

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.http_servers import (
    HOME,
    file_server,
    git_environment,
    git_server,
    make_repository,
)
from tests.support.packages import GREETING, npm_registry, pip_index
from tests.support.programs import SECRET, Chain, installed, run

BRIDGE, PIP = installed("netjumper-bridge"), installed("pip")
AUTH = "ada:won der@:%"
"""User name and password of a bridge; in a URL they must be escaped."""


@dataclass
class Site:
    """What the commands fetch, and the folder for it."""

    files: str
    """The URL of a server with a page, an index for pip and a registry for npm."""
    git: str
    """The URL of a server with a repository."""
    ca: str
    """A file with the authority of both."""
    folder: Path
    """The folder for what is fetched."""


def curl(site: Site) -> list[str]:
    own = ["-q", "-sS", "--cacert", site.ca]
    return ["curl", *own, "-o", f"{site.folder}/got", f"{site.files}/page"]


def wget(site: Site) -> list[str]:
    own = ["--no-config", "--tries=1", f"--ca-certificate={site.ca}"]
    return ["wget", *own, "-O", f"{site.folder}/got", f"{site.files}/page"]


def git(site: Site) -> list[str]:
    return ["git", "clone", f"{site.git}/repo.git", f"{site.folder}/copy"]


def pip(site: Site) -> list[str]:
    own = [
        "--isolated", "--no-cache-dir", "--disable-pip-version-check", "--no-deps",
        f"--cert={site.ca}",
    ]  # fmt: skip
    index = [f"--index-url={site.files}/simple/"]
    if site.files.startswith("http:"):
        index.append(f"--trusted-host=files.{HOME}")  # for https it would turn the check off
    return [PIP, "install", *own, *index, f"--target={site.folder}/target", "greeting"]


def npm(site: Site) -> list[str]:
    own = [
        f"--cafile={site.ca}", f"--cache={site.folder}/cache", f"--userconfig={site.folder}/npmrc",
        "--update-notifier=false", "--audit=false", "--fund=false", "--fetch-retries=0",
    ]  # fmt: skip
    where = [f"--registry={site.files}/", f"--prefix={site.folder}"]
    return ["npm", *own, *where, "install", "greeting"]


@dataclass
class Case:
    command: Callable[[Site], list[str]]
    got: str
    """The file with the greeting after the command."""


PROGRAMS = {
    "curl": Case(curl, "got"),
    "wget": Case(wget, "got"),
    "git": Case(git, "copy/greeting.txt"),
    "pip": Case(pip, "target/greeting/greeting.txt"),
    "npm": Case(npm, "node_modules/greeting/greeting.txt"),
}
NEEDS = {
    "curl": ("git", "curl"),  # git makes the site's repository
    "wget": ("git", "wget"),
    "git": ("git",),
    "pip": ("git", PIP),
    "npm": ("git", "npm"),
}


@pytest.fixture(params=["http", "https"])
def site(
    request: pytest.FixtureRequest, certified: ssl.SSLContext, ca_file: Path, tmp_path: Path
) -> Iterator[Site]:
    context = certified if request.param == "https" else None
    make_repository(tmp_path / "root", {"greeting.txt": GREETING})
    files = pip_index() | {"/page": GREETING}
    with ExitStack() as stack:
        origin = stack.enter_context(file_server("files", files, context))
        files |= npm_registry(origin.url(""))
        repositories = stack.enter_context(git_server(tmp_path / "root", context))
        yield Site(origin.url(""), repositories.url(""), str(ca_file), tmp_path)


def environment(chain: Chain) -> dict[str, str]:
    alone = {"PIP_CONFIG_FILE": os.devnull, "REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}
    own = {"NETJUMPER_SECRET": SECRET, "NETJUMPER_JUMP": chain.jump, "NETJUMPER_AUTH": AUTH}
    return git_environment() | alone | own


@pytest.mark.parametrize(
    "program", [pytest.param(name, marks=pytest.mark.needs(*NEEDS[name])) for name in PROGRAMS]
)
def test_exec_sends_a_program_through_a_bridge_with_a_password(
    program: str, chain: Chain, site: Site
) -> None:
    command = PROGRAMS[program].command(site)

    own = {"GIT_SSL_CAINFO": site.ca}
    done = run([BRIDGE, "exec", "--", *command], environment(chain) | own)

    assert done.returncode == 0, done.stderr
    assert (site.folder / PROGRAMS[program].got).read_bytes() == GREETING
    _, _, place = (site.git if program == "git" else site.files).partition("//")
    chain.server.wait_for(rf"-> {place}: ")


@pytest.mark.needs("wget")
def test_exec_reports_the_reason_beside_the_programs_output(chain: Chain, refusing: str) -> None:
    command = ["wget", "--no-config", "--tries=1", f"http://{refusing}/"]
    refused = run([BRIDGE, "exec", "--", *command], environment(chain))
    wrong = environment(chain) | {"NETJUMPER_SECRET": "another secret"}
    unknown = run([BRIDGE, "exec", "--", *command], wrong)

    assert refused.returncode == unknown.returncode == 8
    assert b"ERROR 502: Bad Gateway" in refused.stderr
    assert b"TargetRefused" in refused.stderr
    assert b"ERROR 503: Service Unavailable" in unknown.stderr
    assert b"WrongSecret" in unknown.stderr
    assert b"another secret" not in unknown.stderr
    assert b"won" not in refused.stderr + unknown.stderr
