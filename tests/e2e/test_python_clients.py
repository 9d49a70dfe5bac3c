"""Python's HTTP clients through the bridge, configured by arguments or by the environment."""

import asyncio
import gc
import re
import ssl
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests
import trustme

from tests.support.peers import closed_port
from tests.support.programs import web_server
from tests.support.remote_network import (
    RemoteNetwork,
    bridge_to,
    forbid_name_lookups,
    remote_network,
)
from tests.support.servers import serving_context

HOST = "pages.example"
REFUSING = "refusing.example"
"""A name whose ports have no listener."""

Get = Callable[[str, str | None], str]
"""Returns a page, given its URL and that of the proxy, or None if the environment has the proxy."""


@pytest.fixture(scope="module")
def end(http_port: int, https_port_of_host: int) -> Iterator[RemoteNetwork]:
    refusing = closed_port()
    names = {
        (HOST, 80): ("127.0.0.1", http_port),
        (HOST, 443): ("127.0.0.1", https_port_of_host),
        (REFUSING, 80): (refusing.host, refusing.port),
        (REFUSING, 443): (refusing.host, refusing.port),
    }
    with remote_network(names) as end:
        yield end


@pytest.fixture(scope="module")
def https_port_of_host(authority: trustme.CA) -> Iterator[int]:
    with web_server(serving_context(authority, HOST)) as port:
        yield port


@pytest.fixture(autouse=True)
def _a_clean_environment(monkeypatch: pytest.MonkeyPatch, ca_file: Path) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    forbid_name_lookups(monkeypatch)


def by_urllib(url: str, proxy: str | None) -> str:
    proxies = None if proxy is None else {"http": proxy, "https": proxy}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
    with opener.open(url, timeout=20) as response:
        return response.read().decode()


def by_requests(url: str, proxy: str | None) -> str:
    proxies = None if proxy is None else {"http": proxy, "https": proxy}
    with requests.get(url, proxies=proxies, timeout=20) as response:
        response.raise_for_status()
        return response.text


def by_httpx(url: str, proxy: str | None) -> str:
    with httpx.Client(proxy=proxy) as client:
        return client.get(url).raise_for_status().text


def by_httpx_with_asyncio(url: str, proxy: str | None) -> str:
    async def get() -> str:
        async with httpx.AsyncClient(proxy=proxy) as client:
            return (await client.get(url)).raise_for_status().text

    return asyncio.run(get())


def by_aiohttp(url: str, proxy: str | None) -> str:
    async def get() -> str:
        # aiohttp's own context was made as it was imported, before SSL_CERT_FILE was set.
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=proxy is None) as session,
            session.get(url, proxy=proxy, raise_for_status=True) as response,
        ):
            return await response.text()

    return asyncio.run(get())


CLIENTS: dict[str, Get] = {
    "urllib": by_urllib,
    "requests": by_requests,
    "httpx": by_httpx,
    "httpx with asyncio": by_httpx_with_asyncio,
    "aiohttp": by_aiohttp,
}
SOCKS_CLIENTS = ["requests", "httpx", "httpx with asyncio"]


@pytest.mark.parametrize("scheme", ["http", "https"])
class TestPages:
    @pytest.mark.parametrize("client", CLIENTS)
    def test_page_is_fetched_by_the_clients_proxy_argument(
        self, client: str, scheme: str, end: RemoteNetwork
    ) -> None:
        check_page(client, scheme, end, f"http://{end.http}")

    @pytest.mark.parametrize("client", CLIENTS)
    def test_page_is_fetched_by_the_proxy_of_the_environment(
        self, client: str, scheme: str, end: RemoteNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", f"http://{end.http}")
        monkeypatch.setenv("HTTPS_PROXY", f"http://{end.http}")
        check_page(client, scheme, end, None)

    @pytest.mark.parametrize("client", SOCKS_CLIENTS)
    def test_page_is_fetched_by_socks(self, client: str, scheme: str, end: RemoteNetwork) -> None:
        check_page(client, scheme, end, f"socks5h://{end.socks}")

    @pytest.mark.parametrize("client", SOCKS_CLIENTS)
    def test_page_is_fetched_by_the_socks_proxy_of_the_environment(
        self, client: str, scheme: str, end: RemoteNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{end.socks}")
        check_page(client, scheme, end, None)


def check_page(client: str, scheme: str, end: RemoteNetwork, proxy: str | None) -> None:
    """Check that the jump server dials the page's server once, and nothing else."""
    end.dialled.clear()
    assert CLIENTS[client](f"{scheme}://{HOST}/page", proxy) == f"you requested /page of {HOST}\n"
    assert end.dialled == [f"{HOST}:{443 if scheme == 'https' else 80}"]


HTTP_ERRORS = {
    # A plain request gets the bridge's answer as if it were the target's own ...
    ("urllib", "http"): (urllib.error.HTTPError, "HTTP Error {status}"),
    ("requests", "http"): (requests.HTTPError, "{status} Server Error"),
    ("httpx", "http"): (httpx.HTTPStatusError, "{status}"),
    ("httpx with asyncio", "http"): (httpx.HTTPStatusError, "{status}"),
    ("aiohttp", "http"): (aiohttp.ClientResponseError, "{status}"),
    # ... and the same answer to a CONNECT is an error of the proxy.
    ("urllib", "https"): (urllib.error.URLError, "Tunnel connection failed: {status}"),
    ("requests", "https"): (
        requests.exceptions.ProxyError,
        "Tunnel connection failed: {status}",
    ),
    ("httpx", "https"): (httpx.ProxyError, "{status}"),
    ("httpx with asyncio", "https"): (httpx.ProxyError, "{status}"),
    ("aiohttp", "https"): (aiohttp.ClientHttpProxyError, "{status}"),
}


@pytest.fixture
def _unclosed_connections_are_collected() -> Iterator[None]:
    """Some clients do not close a connection whose request to the proxy has failed.

    Examples are httpcore with SOCKS, and Python 3.11's http.client, which urllib and requests are
    built on, with the answer to a CONNECT.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.mark.usefixtures("_unclosed_connections_are_collected")
@pytest.mark.parametrize(("client", "scheme"), HTTP_ERRORS)
class TestErrorsByHttp:
    def test_refused_target_is_reported(self, client: str, scheme: str, end: RemoteNetwork) -> None:
        kind, text = HTTP_ERRORS[client, scheme]
        with pytest.raises(kind, match=text.format(status="502")) as caught:
            CLIENTS[client](f"{scheme}://{REFUSING}/", f"http://{end.http}")
        close(caught.value)

    def test_jump_host_that_is_down_is_reported(self, client: str, scheme: str) -> None:
        kind, text = HTTP_ERRORS[client, scheme]
        with bridge_to(closed_port()) as bridge:
            with pytest.raises(kind, match=text.format(status="503")) as caught:
                CLIENTS[client](f"{scheme}://{HOST}/", f"http://{bridge.http}")
        close(caught.value)


def close(error: BaseException) -> None:
    """Close what `urllib` leaves open: its error is the response as well."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()


SOCKS_ERRORS = {
    "requests": (
        requests.ConnectionError,
        {5: "0x05: Connection refused", 1: "0x01: General SOCKS"},
    ),
    "httpx": (httpx.ProxyError, {5: "Connection refused", 1: "General SOCKS server failure"}),
}
SOCKS_ERRORS["httpx with asyncio"] = SOCKS_ERRORS["httpx"]


@pytest.mark.usefixtures("_unclosed_connections_are_collected")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("client", SOCKS_CLIENTS)
class TestErrorsBySocks:
    def test_refused_target_is_reported(self, client: str, scheme: str, end: RemoteNetwork) -> None:
        kind, texts = SOCKS_ERRORS[client]
        with pytest.raises(kind, match=re.escape(texts[5])):
            CLIENTS[client](f"{scheme}://{REFUSING}/", f"socks5h://{end.socks}")

    def test_jump_host_that_is_down_is_reported(self, client: str, scheme: str) -> None:
        kind, texts = SOCKS_ERRORS[client]
        with bridge_to(closed_port()) as bridge:
            with pytest.raises(kind, match=re.escape(texts[1])):
                CLIENTS[client](f"{scheme}://{HOST}/", f"socks5h://{bridge.socks}")
