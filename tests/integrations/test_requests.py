"""requests' session and adapter through a jump server."""

import asyncio
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from netjumper import Jumper
from netjumper.integrations.requests import JumperAdapter, JumperSession
from tests.support.connect_failures import ConnectFailures, Get
from tests.support.peers import receive, send, serving

MakeSession = Callable[[Jumper], requests.Session]


def session_with_the_adapter(jumper: Jumper) -> requests.Session:
    session = requests.Session()
    session.mount("http://", JumperAdapter(jumper))
    session.mount("https://", JumperAdapter(jumper))
    return session


async def get(
    jumper: Jumper, *urls: str, make: MakeSession = JumperSession, **options: Any
) -> list[requests.Response]:
    def get_all() -> list[requests.Response]:
        with make(jumper) as session:
            return [session.get(url, **options) for url in urls]

    return await asyncio.to_thread(get_all)


class TestPages:
    async def test_http_page_is_fetched_by_name(self, jumper, http_url):
        [response] = await get(jumper, f"{http_url}/page")
        assert response.text == f"you requested /page of {http_url.removeprefix('http://')}\n"

    async def test_https_page_with_a_trusted_certificate_is_fetched(
        self, jumper, https_url, ca_file: Path
    ):
        [response] = await get(jumper, f"{https_url}/page", verify=str(ca_file))
        assert response.text.startswith("you requested /page")

    async def test_an_unknown_authoritys_certificate_is_refused(self, jumper, https_url):
        with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            await get(jumper, https_url)

    async def test_the_check_is_switched_off_as_requests_does_it(self, jumper, https_url):
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            [response] = await get(jumper, https_url, verify=False)
        assert response.status_code == 200

    async def test_requests_to_one_target_share_a_tunnel(self, path, http_url):
        await get(path.jumper, *[f"{http_url}/{number}" for number in range(3)])
        assert await path.tunnels() == 1


class TestNoOtherWay:
    @pytest.mark.parametrize("make", [JumperSession, session_with_the_adapter])
    @pytest.mark.usefixtures("proxy_variables")
    async def test_proxies_of_the_environment_are_not_used(self, path, http_url, make):
        await get(path.jumper, http_url, make=make)  # a response that is kept keeps its tunnel
        assert await path.tunnels() == 1

    @pytest.mark.usefixtures("proxy_variables")
    async def test_a_proxys_password_does_not_reach_a_target_by_a_redirect(self, jumper):
        heads: list[bytes] = []

        async def redirect(sock: Any) -> None:
            while head := await receive(sock):
                heads.append(head)
                where = b"302 Found\r\nLocation: /again" if len(heads) == 1 else b"200 OK"
                await send(sock, b"HTTP/1.1 " + where + b"\r\nContent-Length: 0\r\n\r\n")

        async with serving(redirect) as peer:
            await get(jumper, f"http://target.example:{peer.address.port}/")
        assert len(heads) == 2
        assert b"Proxy-Authorization" not in b"".join(heads)

    async def test_proxies_that_a_session_is_given_are_refused(self, jumper, http_url):
        proxies = {"http": "http://127.0.0.1:1"}
        with JumperSession(jumper) as session:
            with pytest.raises(requests.exceptions.ProxyError, match="no other proxy"):
                session.get(http_url, proxies=proxies)
            session.proxies = proxies
            with pytest.raises(requests.exceptions.ProxyError, match="no other proxy"):
                session.get(http_url)

    def test_an_adapter_makes_no_connections_to_a_proxy(self):
        adapter = JumperAdapter(Jumper("127.0.0.1:1", "secret"))
        with pytest.raises(requests.exceptions.ProxyError, match="no other proxy"):
            adapter.proxy_manager_for("http://127.0.0.1:1")


class TestFailures(ConnectFailures):
    unconnected = requests.ConnectionError
    unknown_name = requests.ConnectionError
    impossible_host = requests.exceptions.InvalidURL
    too_slow = requests.ConnectTimeout
    tiny_timeout = (0.05, 10)

    @pytest.fixture
    def get(self) -> Get:
        return get

    async def test_foreign_failure_keeps_its_cause(self, jumper):
        async def close(sock: Any) -> None:
            await receive(sock)

        async with serving(close) as peer:
            with pytest.raises(requests.ConnectionError) as caught:
                await get(jumper, f"http://{peer}")
        assert isinstance(caught.value.__context__, urllib3.exceptions.ProtocolError)


def test_an_adapter_is_not_pickled_as_it_holds_the_secret():
    adapter = JumperAdapter(Jumper("127.0.0.1:1", "secret"))
    with pytest.raises(TypeError, match="holds the secret"):
        pickle.dumps(adapter)
