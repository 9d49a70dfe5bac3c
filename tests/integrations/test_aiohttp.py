"""aiohttp's sessions through a jump server."""

import hashlib
import ssl
from typing import Any

import aiohttp
import pytest

from netjumper import Jumper, JumpHostUnreachable
from netjumper.integrations.aiohttp import JumperConnector
from tests.support.connect_failures import ConnectFailures, Get
from tests.support.peers import black_hole, no_descriptor_leaks, serving, unresponsive

SILENCE = aiohttp.ClientTimeout(total=None, sock_connect=0.05)


async def get(
    jumper: Jumper, *urls: str, connector: dict[str, Any] | None = None, **options: Any
) -> list[str]:
    """Get them one after another and return what they hold."""
    pages = []
    trust_env = options.pop("trust_env", False)
    async with aiohttp.ClientSession(
        connector=JumperConnector(jumper, **(connector or {})), trust_env=trust_env
    ) as session:
        for url in urls:
            async with session.get(url, **options) as response:
                pages.append(await response.text())
    return pages


class TestPages:
    async def test_http_page_is_fetched_by_name(self, jumper, http_url):
        [page] = await get(jumper, f"{http_url}/page")
        assert page == f"you requested /page of {http_url.removeprefix('http://')}\n"

    async def test_https_page_with_a_trusted_certificate_is_fetched(
        self, jumper, https_url, trusting
    ):
        [page] = await get(jumper, f"{https_url}/page", ssl=trusting)
        assert page.startswith("you requested /page")

    async def test_the_connectors_context_is_used_too(self, jumper, https_url, trusting):
        assert await get(jumper, https_url, connector={"ssl": trusting})

    async def test_an_unknown_authoritys_certificate_is_refused(self, jumper, https_url):
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await get(jumper, https_url)

    async def test_a_certificate_for_another_name_is_refused(self, jumper, misnamed_url, trusting):
        with pytest.raises(
            aiohttp.ClientConnectorCertificateError, match=r"not valid for 'target\.example'"
        ):
            await get(jumper, misnamed_url, ssl=trusting)

    async def test_the_check_is_switched_off_as_aiohttp_does_it(self, jumper, https_url):
        assert await get(jumper, https_url, ssl=False)

    async def test_a_fingerprint_must_be_the_certificates(self, jumper, https_url):
        port = int(https_url.rpartition(":")[2])
        pem = ssl.get_server_certificate(("127.0.0.1", port))
        right = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
        assert await get(jumper, https_url, ssl=aiohttp.Fingerprint(right))
        async with no_descriptor_leaks():
            with pytest.raises(aiohttp.ServerFingerprintMismatch):
                await get(jumper, https_url, ssl=aiohttp.Fingerprint(bytes(32)))

    async def test_a_fingerprint_does_not_matter_without_tls(self, jumper, http_url):
        assert await get(jumper, http_url, ssl=aiohttp.Fingerprint(bytes(32)))


async def test_requests_to_one_target_share_a_tunnel(path, http_url):
    await get(path.jumper, *[f"{http_url}/{number}" for number in range(3)])
    assert await path.tunnels() == 1


class TestNoOtherWay:
    @pytest.mark.usefixtures("proxy_variables")
    async def test_proxies_of_the_environment_are_not_used(self, path, http_url):
        await get(path.jumper, http_url)
        assert await path.tunnels() == 1

    @pytest.mark.usefixtures("proxy_variables")
    async def test_trust_env_with_a_proxy_is_refused(self, jumper, http_url):
        with pytest.raises(aiohttp.ClientProxyConnectionError, match="no other proxy"):
            await get(jumper, http_url, trust_env=True)

    async def test_a_requests_own_proxy_is_refused(self, jumper, https_url):
        with pytest.raises(aiohttp.ClientProxyConnectionError, match="no other proxy"):
            await get(jumper, https_url, proxy="http://127.0.0.1:1")

    @pytest.mark.parametrize("option", ["resolver", "local_addr", "socket_factory"])
    async def test_options_of_the_local_end_are_refused(self, option):
        with pytest.raises(TypeError, match=f"^{option}: "):
            JumperConnector(Jumper("127.0.0.1:1", "secret"), **{option: object()})

    async def test_the_connector_resolves_no_name(self):
        async with JumperConnector(Jumper("127.0.0.1:1", "secret")) as connector:
            with pytest.raises(OSError, match="resolved by the jump server"):
                await connector._resolve_host("target.example", 80)


class TestFailures(ConnectFailures):
    unconnected = aiohttp.ClientConnectorError
    unknown_name = aiohttp.ClientConnectorDNSError
    impossible_host = aiohttp.InvalidURL
    too_slow = aiohttp.ConnectionTimeoutError
    tiny_timeout = SILENCE
    no_limit = aiohttp.ClientTimeout()

    @pytest.fixture
    def get(self) -> Get:
        return get

    async def test_jump_host_that_accepts_no_connection(self, get):
        with unresponsive() as address:
            jumper = Jumper(str(address), "secret")
            with pytest.raises(aiohttp.ConnectionTimeoutError) as caught:
                await get(jumper, "http://target.example", timeout=SILENCE)
        assert isinstance(caught.value.__cause__.__cause__, JumpHostUnreachable)

    async def test_a_total_that_is_over_gives_the_tunnel_up(self):
        async with serving(black_hole) as peer:
            jumper = Jumper(str(peer), "secret")
            timeout = aiohttp.ClientTimeout(total=0.05)
            with pytest.raises(TimeoutError):
                await get(jumper, "http://target.example", timeout=timeout)

    async def test_a_tls_handshake_that_falls_silent_is_a_connection_timeout(self, jumper):
        async with serving(black_hole) as peer:
            with pytest.raises(aiohttp.ConnectionTimeoutError):
                await get(jumper, f"https://{peer}", timeout=SILENCE)

    async def test_a_target_that_falls_silent_is_a_read_timeout(self, jumper):
        async with serving(black_hole) as peer:
            timeout = aiohttp.ClientTimeout(total=None, sock_read=0.05)
            with pytest.raises(aiohttp.SocketTimeoutError):
                await get(jumper, f"http://{peer}", timeout=timeout)

    async def test_tls_with_a_clear_text_target_is_a_tls_error(self, jumper, http_url):
        with pytest.raises(aiohttp.ClientConnectorSSLError):
            await get(jumper, http_url.replace("http:", "https:"))
