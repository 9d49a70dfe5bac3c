"""wget and aria2 through bridge and jump server."""

import random
import ssl
from pathlib import Path

import pytest

from tests.support.http_servers import file_server
from tests.support.programs import Chain, run

PAGE = b"a page from home\n"
BIG = random.Random(5).randbytes(8 << 20)


def wget(url: str, *arguments: str, **env: str) -> tuple[int, bytes, str]:
    done = run(["wget", "--no-config", "--tries=1", "-O-", *arguments, url], env)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.needs("wget")
def test_wget_fetches_an_http_page_by_the_environment(chain: Chain) -> None:
    with file_server("wget", {"/page": PAGE}) as origin:
        status, page, output = wget(origin.url("/page"), http_proxy=f"http://{chain.http}")
        chain.bridge.wait_for(rf"-> {origin.host_port}: .*GET 200")

    assert (status, page) == (0, PAGE), output


@pytest.mark.needs("wget")
def test_wget_fetches_an_https_page_by_the_environment(
    chain: Chain, certified: ssl.SSLContext, ca_file: Path
) -> None:
    with file_server("wget", {"/page": PAGE}, certified) as origin:
        certificate = f"--ca-certificate={ca_file}"
        status, page, output = wget(
            origin.url("/page"), certificate, https_proxy=f"http://{chain.http}"
        )
        chain.bridge.wait_for(rf"-> {origin.host_port}: up [1-9]\d+ down [1-9]\d+ bytes")

    assert (status, page) == (0, PAGE), output


@pytest.mark.needs("wget")
def test_wget_resumes_a_truncated_download(chain: Chain, tmp_path: Path) -> None:
    got = tmp_path / "big"
    got.write_bytes(BIG[: len(BIG) // 2])
    with file_server("wget", {"/big": BIG}) as origin:
        command = ["wget", "--no-config", "--tries=1", "-c", "-P", str(tmp_path)]
        done = run([*command, origin.url("/big")], {"http_proxy": f"http://{chain.http}"})

    assert done.returncode == 0, done.stderr
    assert got.read_bytes() == BIG
    assert origin.requests == [f"GET /big bytes={len(BIG) // 2}-"]


@pytest.mark.needs("wget")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_wget_reports_a_refused_target(scheme: str, chain: Chain, refusing: str) -> None:
    proxy = {f"{scheme}_proxy": f"http://{chain.http}"}

    status, page, output = wget(f"{scheme}://{refusing}/", **proxy)

    assert (status, page) == ({"http": 8, "https": 4}[scheme], b"")
    how = {"http": "ERROR 502: Bad Gateway", "https": "Proxy tunneling failed: "}
    assert how[scheme] in output
    assert scheme == "http" or "refused" in output
    chain.bridge.wait_for(rf"-> {refusing}: .*TargetRefused")


@pytest.mark.needs("wget")
def test_wget_reports_a_wrong_secret(misconfigured: str, refusing: str) -> None:
    status, _, output = wget(f"http://{refusing}/", http_proxy=f"http://{misconfigured}")

    assert status == 8
    assert "ERROR 503: Service Unavailable" in output


ARIA2 = [
    "aria2c", "--no-conf", "--quiet", "--max-tries=1", "--connect-timeout=20", "--timeout=20",
    "--max-connection-per-server=4", "--split=4", "--min-split-size=1M", "--piece-length=1M",
    "--file-allocation=none",
]  # fmt: skip


@pytest.mark.needs("aria2c")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_aria2_fetches_a_file_over_several_connections(
    scheme: str, chain: Chain, certified: ssl.SSLContext, ca_file: Path, tmp_path: Path
) -> None:
    proxy = [f"--all-proxy=http://{chain.http}", f"--ca-certificate={ca_file}"]
    context = certified if scheme == "https" else None
    with file_server("aria2", {"/big": BIG}, context, min_requests=4) as origin:
        done = run([*ARIA2, *proxy, "--dir", str(tmp_path), origin.url("/big")])
        chain.bridge.wait_for(rf"-> {origin.host_port}: ", count=4)

    assert done.returncode == 0, done.stdout
    assert (tmp_path / "big").read_bytes() == BIG
    ranges = [request for request in origin.requests if "bytes=" in request]
    assert len(ranges) >= 3, origin.requests


@pytest.mark.needs("aria2c")
def test_aria2_reports_a_refused_target(chain: Chain, refusing: str, tmp_path: Path) -> None:
    command = [word for word in ARIA2 if word != "--quiet"]
    proxy = f"--all-proxy=http://{chain.http}"
    done = run([*command, proxy, "--dir", str(tmp_path), f"http://{refusing}/big"])

    assert done.returncode != 0
    assert b"status=502" in done.stdout
