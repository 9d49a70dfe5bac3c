"""git over http and https through bridge and jump server: clone, fetch, push."""

import random
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http_servers import Origin, git_environment, git_server, make_repository
from tests.support.programs import Chain, run

pytestmark = pytest.mark.needs("git")

NOISE = random.Random(7).randbytes(3 << 20)
"""Too much for one buffer of git's (1 MiB): a push of it is sent in chunks."""


def git(*arguments: str, **env: str) -> tuple[int, str]:
    """Run git with `env` and return its exit status and its output."""
    done = run(["git", *arguments], git_environment() | env)
    return done.returncode, (done.stdout + done.stderr).decode()


def done(*arguments: str, **env: str) -> str:
    status, output = git(*arguments, **env)
    assert status == 0, output
    return output


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    """A folder with `repo.git` in it."""
    root = tmp_path / "root"
    make_repository(root, {"read.me": b"first\n", "noise": NOISE})
    return root


@pytest.fixture(params=["http", "https"])
def origin(
    request: pytest.FixtureRequest, repositories: Path, certified: ssl.SSLContext
) -> Iterator[Origin]:
    with git_server(repositories, certified if request.param == "https" else None) as origin:
        yield origin


PROXIES = {
    "by the environment": lambda chain, _: {
        "http_proxy": f"http://{chain.http}",
        "https_proxy": f"http://{chain.http}",
    },
    "by http.proxy": lambda chain, _: {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.proxy",
        "GIT_CONFIG_VALUE_0": f"socks5h://{chain.mixed}",
    },
}


@pytest.mark.parametrize("proxy", PROXIES)
def test_git_clones(
    proxy: str, chain: Chain, origin: Origin, ca_file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"

    done("clone", "--quiet", origin.url("/repo.git"), str(copy),
         GIT_SSL_CAINFO=str(ca_file), **PROXIES[proxy](chain, origin))  # fmt: skip

    assert (copy / "noise").read_bytes() == NOISE
    assert "POST /repo.git/git-upload-pack" in origin.requests
    chain.bridge.wait_for(rf"-> {origin.host_port}: ")


def test_git_pushes_in_chunks_and_fetches_it_back(
    chain: Chain, origin: Origin, ca_file: Path, tmp_path: Path
) -> None:
    env = PROXIES["by the environment"](chain, origin) | {"GIT_SSL_CAINFO": str(ca_file)}
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    done("clone", "--quiet", origin.url("/repo.git"), one, **env)
    done("clone", "--quiet", origin.url("/repo.git"), other, **env)
    more = bytes(reversed(NOISE))
    Path(one, "more").write_bytes(more)
    done("-C", one, "add", ".")
    done("-C", one, "commit", "--quiet", "--message=more")

    done("-C", one, "push", "--quiet", "origin", "main", **env)
    done("-C", other, "pull", "--quiet", "--ff-only", **env)

    assert Path(other, "more").read_bytes() == more
    assert "POST /repo.git/git-receive-pack chunked" in origin.requests


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_git_reports_a_refused_target(
    scheme: str, chain: Chain, refusing: str, tmp_path: Path
) -> None:
    proxy = PROXIES["by the environment"](chain, None)

    status, output = git(
        "clone", f"{scheme}://{refusing}/repo.git", str(tmp_path / "copy"), **proxy
    )

    assert status == 128
    assert re.search(r"\b502\b", output), output
    chain.bridge.wait_for(rf"-> {refusing}: .*TargetRefused")


def test_git_reports_a_wrong_secret(misconfigured: str, refusing: str, tmp_path: Path) -> None:
    there = str(tmp_path / "copy")
    status, output = git("clone", f"https://{refusing}/repo.git", there, https_proxy=misconfigured)

    assert status == 128
    assert re.search(r"\b503\b", output), output
