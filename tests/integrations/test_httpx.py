"""httpx's clients through a jump server, blocking and with asyncio."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import anyio
import httpcore
import httpx
import pytest

from netjumper import Jumper
from netjumper.integrations.httpx import (
    AsyncJumperBackend,
    AsyncJumperTransport,
    JumperBackend,
    JumperTransport,
)
from tests.support.connect_failures import ConnectFailures, Get
from tests.support.peers import black_hole, serving


async def get_blocking(jumper: Jumper, *urls: str, **options: Any) -> list[httpx.Response]:
    def get() -> list[httpx.Response]:
        with jumper.httpx_client(**options) as client:
            return [client.get(url) for url in urls]

    return await asyncio.to_thread(get)


async def get_with_asyncio(jumper: Jumper, *urls: str, **options: Any) -> list[httpx.Response]:
    async with jumper.httpx_async_client(**options) as client:
        return [await client.get(url) for url in urls]


@pytest.fixture(params=[get_blocking, get_with_asyncio])
def get(request: pytest.FixtureRequest) -> Get:
    return request.param


class TestPages:
    async def test_http_page_is_fetched_by_name(self, jumper, http_url, get):
        [response] = await get(jumper, f"{http_url}/page")
        assert response.status_code == 200
        assert response.text == f"you requested /page of {http_url.removeprefix('http://')}\n"

    async def test_https_page_with_a_trusted_certificate_is_fetched(
        self, jumper, https_url, trusting, get
    ):
        [response] = await get(jumper, f"{https_url}/page", verify=trusting)
        assert response.text.startswith("you requested /page of target.example:")

    async def test_an_unknown_authoritys_certificate_is_refused(self, jumper, https_url, get):
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await get(jumper, https_url)

    async def test_a_certificate_for_another_name_is_refused(
        self, jumper, misnamed_url, trusting, get
    ):
        with pytest.raises(httpx.ConnectError, match=r"not valid for 'target\.example'"):
            await get(jumper, misnamed_url, verify=trusting)

    async def test_the_check_is_switched_off_as_httpx_does_it(self, jumper, https_url, get):
        [response] = await get(jumper, https_url, verify=False)
        assert response.status_code == 200

    async def test_certificates_of_the_environment_are_trusted_unless_disabled(
        self, jumper, https_url, ca_file: Path, get, monkeypatch
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        [response] = await get(jumper, https_url)
        assert response.status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await get(jumper, https_url, trust_env=False)

    async def test_a_large_body_is_streamed_both_ways(self, jumper, http_url):
        async with jumper.httpx_async_client() as client:
            async with client.stream("GET", f"{http_url}/blocks/4") as response:
                size = sum([len(part) async for part in response.aiter_bytes()])
            digest = await client.put(http_url, content=bytes(3 << 20))
        assert size == 4 << 20
        assert len(digest.text) == 64

    async def test_http2_is_used_if_enabled(self, path, http2_url, trusting, get):
        responses = await get(path.jumper, http2_url, http2_url, verify=trusting, http2=True)
        assert [(r.http_version, r.text) for r in responses] == [("HTTP/2", "1"), ("HTTP/2", "3")]
        assert await path.tunnels() == 1


class TestPooling:
    async def test_requests_to_one_target_share_a_tunnel(self, path, http_url, get):
        await get(path.jumper, *[f"{http_url}/{number}" for number in range(3)])
        assert await path.tunnels() == 1

    async def test_requests_over_tls_share_a_tunnel(self, path, https_url, trusting, get):
        await get(path.jumper, https_url, https_url, verify=trusting)
        assert await path.tunnels() == 1

    async def test_the_limits_are_those_given(self, path, http_url, get):
        limits = httpx.Limits(max_keepalive_connections=0)
        await get(path.jumper, http_url, http_url, limits=limits)
        assert await path.tunnels() == 2

    async def test_requests_at_the_same_time_have_tunnels_of_their_own(self, path, http_url):
        async with path.jumper.httpx_async_client() as client:
            await asyncio.gather(*[client.get(f"{http_url}/blocks/1") for _ in range(4)])
        assert await path.tunnels() > 1


class TestNoOtherWay:
    @pytest.mark.usefixtures("proxy_variables")
    async def test_proxies_of_the_environment_are_not_used(self, path, http_url, get):
        [response] = await get(path.jumper, http_url)
        assert response.status_code == 200
        assert await path.tunnels() == 1

    @pytest.mark.parametrize(
        "option",
        [{"proxy": "http://127.0.0.1:1"}, {"mounts": {"all://": None}}, {"transport": object()}],
        ids=lambda option: next(iter(option)),
    )
    @pytest.mark.parametrize("make", [Jumper.httpx_client, Jumper.httpx_async_client])
    def test_options_that_bypass_the_jump_host_are_refused(self, make, option):
        with pytest.raises(TypeError, match=f"^{next(iter(option))}: .* no other way"):
            make(Jumper("127.0.0.1:1", "secret"), **option)

    @pytest.mark.parametrize("option", ["proxy", "uds", "local_address"])
    @pytest.mark.parametrize("transport", [JumperTransport, AsyncJumperTransport])
    def test_transport_refuses_options_that_bypass_the_jump_host(self, transport, option):
        with pytest.raises(TypeError, match=option):
            transport(Jumper("127.0.0.1:1", "secret"), **{option: "127.0.0.1"})

    async def test_a_local_address_is_refused(self):
        jumper = Jumper("127.0.0.1:1", "secret")
        with pytest.raises(httpcore.UnsupportedProtocol, match="local address"):
            JumperBackend(jumper).connect_tcp("127.0.0.1", 1, local_address="127.0.0.1")
        with pytest.raises(httpcore.UnsupportedProtocol, match="local address"):
            await AsyncJumperBackend(jumper).connect_tcp("127.0.0.1", 1, local_address="127.0.0.1")

    async def test_a_unix_socket_is_never_connected_to(self, tmp_path):
        jumper = Jumper("127.0.0.1:1", "secret")
        with pytest.raises(NotImplementedError):
            JumperBackend(jumper).connect_unix_socket(str(tmp_path))
        with pytest.raises(NotImplementedError):
            await AsyncJumperBackend(jumper).connect_unix_socket(str(tmp_path))


class TestFailures(ConnectFailures):
    unconnected = httpx.ConnectError
    unknown_name = httpx.ConnectError
    impossible_host = httpx.ConnectError
    too_slow = httpx.ConnectTimeout
    tiny_timeout = httpx.Timeout(10, connect=0.05)

    async def test_a_target_that_falls_silent_is_a_read_timeout(self, jumper, get):
        async with serving(black_hole) as peer:
            with pytest.raises(httpx.ReadTimeout):
                await get(jumper, f"http://{peer}", timeout=httpx.Timeout(10, read=0.05))

    async def test_failure_is_retried_as_often_as_configured(self):
        async with serving(_close) as peer:
            transport = AsyncJumperTransport(Jumper(str(peer.address), "secret"), retries=1)
            async with httpx.AsyncClient(transport=transport) as client:
                with pytest.raises(httpx.ConnectError):
                    await client.get("http://target.example")
            assert await peer.connection_count() == 2

    async def test_a_socket_option_that_fails_leaves_no_socket_open(self, jumper, http_url):
        wrong = {"socket_options": [(99999, 99999, 1)]}
        with httpx.Client(transport=JumperTransport(jumper, **wrong)) as client:
            with pytest.raises(OSError, match="Protocol not available"):
                await asyncio.to_thread(client.get, http_url)
        async with httpx.AsyncClient(transport=AsyncJumperTransport(jumper, **wrong)) as client:
            with pytest.raises(OSError, match="Protocol not available"):
                await client.get(http_url)

    async def test_unclaimed_tunnel_is_closed(self, jumper, http_url, monkeypatch):
        async def give_up(sock: object) -> None:
            raise asyncio.CancelledError

        monkeypatch.setattr(anyio.abc.SocketStream, "from_socket", give_up)
        with pytest.raises(asyncio.CancelledError):
            await get_with_asyncio(jumper, http_url)

    def test_foreign_event_loop_is_reported(self):
        connecting = AsyncJumperBackend(Jumper("127.0.0.1:1", "secret")).connect_tcp("a.example", 1)
        with pytest.raises(RuntimeError, match="run on asyncio only"):
            connecting.send(None)  # as another loop, trio's, begins it

    async def test_a_client_that_gives_up_leaves_no_socket_open(self):
        async with serving(black_hole) as peer:
            jumper = Jumper(str(peer), "secret")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(get_with_asyncio(jumper, "http://target.example"), 0.05)


async def _close(sock: object) -> None:
    """Say nothing and close."""


async def test_tls_failure_of_the_target_is_not_a_netjumper_error(jumper, http_url, get):
    with pytest.raises(httpx.ConnectError) as caught:
        await get(jumper, http_url.replace("http:", "https:"))
    assert isinstance(caught.value.__cause__, httpcore.ConnectError)
    assert isinstance(caught.value.__cause__.args[0], ssl.SSLError)
