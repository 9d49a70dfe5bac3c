"""Node's own fetch through bridge and jump server, by NODE_USE_ENV_PROXY."""

import re
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.http_servers import file_server
from tests.support.programs import Chain, run

pytestmark = pytest.mark.needs("node")

PAGE = b"a page from home\n"
FETCH = """
for (const url of process.argv.slice(1)) {
  const answer = await fetch(url);
  console.log(answer.status, (await answer.text()).trim());
}
"""


@pytest.fixture(autouse=True)
def recent_node(unavailable: Callable[[str], None]) -> None:
    """Skip the test if node is too old for NODE_USE_ENV_PROXY."""
    if run(["node", "--use-env-proxy", "--version"]).returncode != 0:
        version = run(["node", "--version"]).stdout.decode().strip()
        unavailable(f"node {version} is too old: NODE_USE_ENV_PROXY came with 22.21 and 24.5")


def node(proxy: str, *urls: str, **env: str) -> tuple[int, str, str]:
    """Fetch `urls` with `proxy` in both proxy variables."""
    proxies = {"http_proxy": f"http://{proxy}", "https_proxy": f"http://{proxy}"}
    command = ["node", "--input-type=module", "--eval", FETCH, "--", *urls]
    done = run(command, {"NODE_USE_ENV_PROXY": "1"} | proxies | env)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fetch_finds_the_bridge_by_the_environment(
    scheme: str, chain: Chain, certified: ssl.SSLContext, ca_file: Path
) -> None:
    context = certified if scheme == "https" else None
    with file_server("node", {"/one": PAGE, "/two": PAGE}, context) as origin:
        urls = [origin.url(path) for path in ("/one", "/two", "/none")]
        status, pages, output = node(chain.http, *urls, NODE_EXTRA_CA_CERTS=str(ca_file))
        chain.bridge.wait_for(rf"-> {origin.host_port}: ")

    assert (status, output) == (0, "")
    assert pages == "200 a page from home\n200 a page from home\n404 file not found\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fetch_reports_a_refused_target(scheme: str, chain: Chain, refusing: str) -> None:
    status, pages, output = node(chain.http, f"{scheme}://{refusing}/")

    assert re.search(r"\b502\b", pages + output), (status, pages, output)
    chain.bridge.wait_for(rf"-> {refusing}: .*TargetRefused")
