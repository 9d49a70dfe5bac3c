"""curl through bridge and jump server, with every way to configure a proxy."""

import hashlib
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.programs import SECRET, Chain, numbered_blocks, run, running

pytestmark = pytest.mark.needs("curl")

PROXIES = {
    "--socks5": lambda chain: ["--socks5", chain.socks],
    "--socks5-hostname": lambda chain: ["--socks5-hostname", chain.socks],
    "--socks4": lambda chain: ["--socks4", chain.socks],
    "--socks4a": lambda chain: ["--socks4a", chain.socks],
    "-p -x http://": lambda chain: ["-p", "-x", f"http://{chain.http}"],
    "-x http://": lambda chain: ["-x", f"http://{chain.http}"],
    "socks5h:// on the mixed port": lambda chain: ["-x", f"socks5h://{chain.mixed}"],
    "socks4a:// on the mixed port": lambda chain: ["-x", f"socks4a://{chain.mixed}"],
    "http:// on the mixed port": lambda chain: ["-p", "-x", f"http://{chain.mixed}"],
}


def curl(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    done = run(["curl", "--silent", "--show-error", "--max-time", "30", *arguments], env)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("proxy", PROXIES)
def test_curl_fetches_an_http_page(proxy: str, chain: Chain, http_port: int) -> None:
    url = f"http://127.0.0.1:{http_port}/page"

    assert curl(*PROXIES[proxy](chain), url) == (
        0,
        f"you requested /page of 127.0.0.1:{http_port}\n",
        "",
    )


@pytest.mark.parametrize("proxy", PROXIES)
def test_curl_fetches_an_https_page(
    proxy: str, chain: Chain, https_port: int, ca_file: Path
) -> None:
    url = f"https://127.0.0.1:{https_port}/page"

    assert curl(*PROXIES[proxy](chain), "--cacert", str(ca_file), url) == (
        0,
        f"you requested /page of 127.0.0.1:{https_port}\n",
        "",
    )


def test_curl_finds_the_bridge_by_the_environment(
    chain: Chain, https_port: int, ca_file: Path
) -> None:
    env = {"HTTPS_PROXY": f"http://{chain.http}"}

    status, page, error = curl(
        "--cacert", str(ca_file), f"https://localhost:{https_port}/env", env=env
    )

    assert (status, error) == (0, "")
    assert page == f"you requested /env of localhost:{https_port}\n"


@pytest.mark.parametrize("proxy", ["--socks5-hostname", "-p -x http://"])
def test_curl_gives_user_and_password(proxy: str, chain: Chain, http_port: int) -> None:
    listeners = ["--socks", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    env = {"NETJUMPER_SECRET": SECRET, "NETJUMPER_AUTH": "ada:lovelace"}
    url = f"http://127.0.0.1:{http_port}/"
    with running("netjumper-bridge", "--jump", chain.jump, *listeners, env=env) as bridge:
        flags = {
            "--socks5-hostname": ["--socks5-hostname", bridge.address("SOCKS")],
            "-p -x http://": ["-p", "-x", f"http://{bridge.address('HTTP')}"],
        }[proxy]

        right = curl(*flags, "--proxy-user", "ada:lovelace", url)
        wrong = curl(*flags, "--proxy-user", "ada:byron", url)
        none = curl(*flags, url)

    assert right == (0, f"you requested / of 127.0.0.1:{http_port}\n", "")
    assert wrong[0] != 0
    assert none[0] != 0


@pytest.mark.parametrize("kind", ["--socks5-hostname", "-x http://"])
def test_256_mib_go_both_ways_at_once_and_arrive_whole(
    kind: str, chain: Chain, http_port: int, tmp_path: Path
) -> None:
    size = 256
    sent = tmp_path / "sent"
    digest = hashlib.sha256()
    with sent.open("wb") as file:
        for block in numbered_blocks(size):
            file.write(block)
            digest.update(block)
    got = tmp_path / "got"
    proxy = PROXIES[kind](chain)
    url = f"http://127.0.0.1:{http_port}"

    with ThreadPoolExecutor() as pool:
        up = pool.submit(curl, *proxy, "-T", str(sent), f"{url}/upload")
        down = pool.submit(curl, *proxy, "-o", str(got), f"{url}/blocks/{size}")

        assert up.result() == (0, digest.hexdigest(), "")
        assert down.result() == (0, "", "")
    with got.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest.hexdigest()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_refused_target_is_reported_in_socks(chain: Chain) -> None:
    status, _, error = curl("--socks5-hostname", chain.socks, f"http://127.0.0.1:{free_port()}/")

    assert status == 97
    assert "(5)" in error


def test_refused_target_is_reported_in_http(chain: Chain) -> None:
    port = free_port()

    status, _, error = curl("-v", "-p", "-x", chain.http, f"http://127.0.0.1:{port}/")

    assert status == 56
    assert re.search(r"502 .*refused", error)
    assert re.search(r"Proxy-Status: netjumper; error=connection_refused", error)
    chain.bridge.wait_for(rf"127\.0\.0\.1:{port}.*TargetRefused")


def test_jump_host_that_is_down_is_reported_and_nothing_goes_direct(http_port: int) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    env = {"NETJUMPER_SECRET": SECRET}
    with running("netjumper-bridge", "--jump", nowhere, "--http", "127.0.0.1:0", env=env) as bridge:
        status, page, error = curl(
            "-v", "-p", "-x", bridge.address("HTTP"), f"http://127.0.0.1:{http_port}/"
        )
        bridge.wait_for(rf"JumpHostUnreachable.*{nowhere}.*connection refused")

    assert (status, page) == (56, "")
    assert re.search(r"HTTP/1.1 503 .*connection refused", error)


def test_wrong_secret_is_reported_and_not_shown(chain: Chain, http_port: int) -> None:
    env = {"NETJUMPER_SECRET": "another secret"}
    with running(
        "netjumper-bridge", "--jump", chain.jump, "--http", "127.0.0.1:0", env=env
    ) as bridge:
        status, _, error = curl(
            "-v", "-p", "-x", bridge.address("HTTP"), f"http://127.0.0.1:{http_port}/"
        )
        bridge.wait_for("WrongSecret")
        output = "\n".join(bridge.lines)

    assert status == 56
    assert re.search(r"HTTP/1.1 503 .*secret", error)
    assert "another secret" not in output + error
