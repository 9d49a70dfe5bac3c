"""urllib3's pool manager through a jump server."""

import asyncio
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

from netjumper import (
    AddressError,
    Jumper,
    JumpHostTimeout,
    JumpHostUnreachable,
    NameNotFound,
    TargetRefused,
    WrongSecret,
)
from netjumper.integrations.urllib3 import JumperPoolManager
from rogues import black_hole, closed_port, serving, unanswering


async def get(jumper: Jumper, *urls: str, **options: Any) -> list[bytes]:
    """Get all of them from a thread and return what they hold."""

    def get_all() -> list[bytes]:
        with JumperPoolManager(jumper, **options) as pools:
            return [pools.request("GET", url).data for url in urls]

    return await asyncio.to_thread(get_all)


class TestPages:
    async def test_an_http_page_comes_by_its_name(self, jumper, http_url):
        [page] = await get(jumper, f"{http_url}/page")
        assert page.decode() == f"you asked for /page of {http_url.removeprefix('http://')}\n"

    async def test_an_https_page_comes_when_its_certificate_is_trusted(
        self, jumper, https_url, ca_file: Path
    ):
        [page] = await get(jumper, f"{https_url}/page", ca_certs=str(ca_file))
        assert page.startswith(b"you asked for /page")

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


@pytest.mark.usefixtures("_nothing_is_left")
class TestFailures:
    async def expect(
        self, jumper: Jumper, url: str, error: type[Exception], cause: type, **options: Any
    ) -> None:
        with pytest.raises(error) as caught:
            await get(jumper, url, retries=False, **options)
        assert type(caught.value) is error
        assert type(caught.value.__cause__) is cause

    async def test_a_jump_host_that_is_down(self):
        jumper = Jumper(str(closed_port()), "secret")
        url = "http://target.example"
        await self.expect(jumper, url, NewConnectionError, JumpHostUnreachable)

    async def test_the_reason_for_giving_up_has_our_cause(self):
        jumper = Jumper(str(closed_port()), "secret")
        with pytest.raises(MaxRetryError) as caught:
            await get(jumper, "http://target.example", retries=1)
        assert isinstance(caught.value.reason.__cause__, JumpHostUnreachable)

    async def test_a_wrong_secret(self, jumper, http_url):
        stranger = Jumper(str(jumper.address), "a guess")
        await self.expect(stranger, http_url, NewConnectionError, WrongSecret)

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    async def test_a_target_that_refuses(self, jumper, host):
        await self.expect(jumper, f"http://{closed_port(host)}", NewConnectionError, TargetRefused)

    async def test_a_name_that_the_jump_server_does_not_know(self, jumper):
        await self.expect(jumper, "https://no.such.example", NameResolutionError, NameNotFound)

    async def test_a_host_that_can_be_none(self, jumper):
        await self.expect(jumper, "http://a..b/", LocationParseError, AddressError)

    async def test_a_jump_host_that_falls_silent_is_a_connect_timeout(self):
        async with serving(black_hole) as peer:
            jumper, timeout = Jumper(str(peer), "secret"), urllib3.Timeout(connect=0.05)
            await self.expect(
                jumper, "http://target.example", ConnectTimeoutError, JumpHostTimeout,
                timeout=timeout,
            )  # fmt: skip

    async def test_a_jump_host_that_takes_no_connection_is_a_connect_timeout(self):
        with unanswering() as address:
            await self.expect(
                Jumper(str(address), "secret"), "http://target.example", ConnectTimeoutError,
                JumpHostUnreachable, timeout=0.05,
            )  # fmt: skip

    async def test_without_a_timeout_the_jumpers_own_limit_holds(self):
        async with serving(black_hole) as peer:
            jumper = Jumper(str(peer), "secret", connect_timeout=0.05)
            await self.expect(jumper, "http://target.example", ConnectTimeoutError, JumpHostTimeout)

    async def test_a_target_that_falls_silent_is_a_read_timeout(self, jumper):
        async with serving(black_hole) as peer:
            timeout = urllib3.Timeout(connect=10, read=0.05)
            with pytest.raises(ReadTimeoutError):
                await get(jumper, f"http://{peer}", retries=False, timeout=timeout)

    async def test_a_socket_option_that_fails_leaves_no_socket_open(self, jumper, http_url):
        with pytest.raises(urllib3.exceptions.ProtocolError, match="Protocol not available"):
            await get(jumper, http_url, retries=False, socket_options=[(99999, 99999, 1)])
