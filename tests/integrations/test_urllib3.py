"""urllib3's pool manager through a jump server."""

import asyncio
import functools
import socket
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from netjumper import Jumper, JumpHostUnreachable
from netjumper.integrations.urllib3 import JumperPoolManager
from tests.support.connect_failures import ConnectFailures, Get
from tests.support.peers import black_hole, closed_port, serving


async def get(jumper: Jumper, *urls: str, **options: Any) -> list[bytes]:
    """Get all of them from a thread and return what they hold."""

    def get_all() -> list[bytes]:
        with JumperPoolManager(jumper, **options) as pools:
            return [pools.request("GET", url).data for url in urls]

    return await asyncio.to_thread(get_all)


class TestPages:
    async def test_http_page_is_fetched_by_name(self, jumper, http_url):
        [page] = await get(jumper, f"{http_url}/page")
        assert page.decode() == f"you requested /page of {http_url.removeprefix('http://')}\n"

    async def test_https_page_with_a_trusted_certificate_is_fetched(
        self, jumper, https_url, ca_file: Path
    ):
        [page] = await get(jumper, f"{https_url}/page", ca_certs=str(ca_file))
        assert page.startswith(b"you requested /page")

    async def test_an_unknown_authoritys_certificate_is_refused(self, jumper, https_url):
        with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            await get(jumper, https_url, retries=False)

    async def test_a_certificate_for_another_name_is_refused(
        self, jumper, misnamed_url, ca_file: Path
    ):
        with pytest.raises(SSLError, match=r"not valid for 'target\.example'"):
            await get(jumper, misnamed_url, ca_certs=str(ca_file), retries=False)

    async def test_the_check_is_switched_off_as_urllib3_does_it(self, jumper, https_url):
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            assert await get(jumper, https_url, cert_reqs="CERT_NONE")


class TestPooling:
    async def test_requests_to_one_target_share_a_tunnel(self, path, http_url):
        await get(path.jumper, *[f"{http_url}/{number}" for number in range(3)])
        assert await path.tunnels() == 1

    async def test_another_target_has_a_tunnel_of_its_own(
        self, path, http_url, https_url, ca_file: Path
    ):
        await get(path.jumper, http_url, https_url, ca_certs=str(ca_file))
        assert await path.tunnels() == 2

    def test_connections_are_of_the_class_that_urllib3_uses_just_then(self, monkeypatch):
        class Later(urllib3.connection.HTTPSConnection):
            """What `urllib3.http2.inject_into_urllib3` puts there, for example."""

        monkeypatch.setattr(urllib3.HTTPSConnectionPool, "ConnectionCls", Later)
        pools = JumperPoolManager(Jumper("127.0.0.1:1", "secret"))
        pool = pools.connection_from_url("https://target.example")
        assert issubclass(pool.ConnectionCls, Later)

    def test_other_pool_managers_connect_as_before(self):
        pools = JumperPoolManager(Jumper("127.0.0.1:1", "secret"))
        ours = pools.connection_from_url("http://target.example").ConnectionCls
        other = urllib3.PoolManager().connection_from_url("http://target.example")
        assert other.ConnectionCls is urllib3.connection.HTTPConnection
        assert issubclass(ours, other.ConnectionCls)


async def test_a_local_address_is_refused():
    with pytest.raises(TypeError, match=r"^source_address: "):
        JumperPoolManager(Jumper("127.0.0.1:1", "secret"), source_address=("127.0.0.1", 0))


async def test_socket_options_are_set(jumper, http_url):
    option = (socket.SOL_SOCKET, socket.SO_PRIORITY, 3)

    def priority() -> int:
        with JumperPoolManager(jumper, socket_options=[option]) as pools:
            response = pools.request("GET", http_url, preload_content=False)
            try:
                return response.connection.sock.getsockopt(*option[:2])
            finally:
                response.read()
                response.release_conn()

    assert await asyncio.to_thread(priority) == 3


class TestFailures(ConnectFailures):
    unconnected = NewConnectionError
    unknown_name = NameResolutionError
    impossible_host = LocationParseError
    too_slow = ConnectTimeoutError
    tiny_timeout = urllib3.Timeout(connect=0.05)

    @pytest.fixture
    def get(self) -> Get:
        return functools.partial(get, retries=False)

    async def test_the_reason_for_giving_up_has_our_cause(self):
        jumper = Jumper(str(closed_port()), "secret")
        with pytest.raises(MaxRetryError) as caught:
            await get(jumper, "http://target.example", retries=1)
        assert isinstance(caught.value.reason.__cause__, JumpHostUnreachable)

    async def test_a_target_that_falls_silent_is_a_read_timeout(self, jumper):
        async with serving(black_hole) as peer:
            timeout = urllib3.Timeout(connect=10, read=0.05)
            with pytest.raises(ReadTimeoutError):
                await get(jumper, f"http://{peer}", retries=False, timeout=timeout)

    async def test_a_socket_option_that_fails_leaves_no_socket_open(self, jumper, http_url):
        with pytest.raises(urllib3.exceptions.ProtocolError, match="Protocol not available"):
            await get(jumper, http_url, retries=False, socket_options=[(99999, 99999, 1)])
