"""Tests of the errors of integrations when a tunnel cannot be established."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from netjumper import (
    AddressError,
    Jumper,
    JumpHostTimeout,
    JumpHostUnreachable,
    NameNotFound,
    TargetRefused,
    WrongSecret,
)
from tests.support.peers import black_hole, closed_port, serving, unresponsive

URL = "http://target.example"

Get = Callable[..., Awaitable[list[Any]]]
"""Takes a jumper, URLs and options of the client; returns the answers."""


@pytest.mark.usefixtures("_no_descriptor_leaks")
class ConnectFailures:
    """The tests. Subclasses have a fixture `get`, which sends requests, and the expected errors.

    Attributes:
        unconnected: error if there is no connection.
        unknown_name: error if the name of the target is unknown.
        impossible_host: error if the name of the target is invalid.
        too_slow: error of a timeout.
        impatience: the option `timeout` with a value that no connection can meet.
        no_limit: the option `timeout` for no limit.
    """

    unconnected: type[Exception]
    unknown_name: type[Exception]
    impossible_host: type[Exception]
    too_slow: type[Exception]
    tiny_timeout: Any
    no_limit: Any = None

    async def expect(
        self, error: type[Exception], cause: type, request: Awaitable[object]
    ) -> Exception:
        with pytest.raises(error) as caught:
            await request
        assert type(caught.value) is error
        assert type(caught.value.__cause__) is cause
        return caught.value

    async def test_unreachable_jump_host(self, get: Get) -> None:
        jumper = Jumper(str(closed_port()), "secret")
        error = await self.expect(self.unconnected, JumpHostUnreachable, get(jumper, URL))
        assert f"jump host {jumper.address}: connection refused" in str(error)

    async def test_wrong_secret(self, jumper: Jumper, http_url: str, get: Get) -> None:
        wrong_jumper = Jumper(str(jumper.address), "a guess")
        await self.expect(self.unconnected, WrongSecret, get(wrong_jumper, http_url))

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    async def test_target_that_refuses(self, jumper: Jumper, get: Get, host: str) -> None:
        url = f"http://{closed_port(host)}"
        await self.expect(self.unconnected, TargetRefused, get(jumper, url))

    async def test_name_that_the_jump_server_does_not_know(self, jumper: Jumper, get: Get) -> None:
        await self.expect(self.unknown_name, NameNotFound, get(jumper, "https://no.such.example"))

    async def test_invalid_host(self, jumper: Jumper, get: Get) -> None:
        await self.expect(self.impossible_host, AddressError, get(jumper, "http://a..b/"))

    async def test_jump_host_that_does_not_answer(self, get: Get) -> None:
        async with serving(black_hole) as peer:
            request = get(Jumper(str(peer), "secret"), URL, timeout=self.tiny_timeout)
            await self.expect(self.too_slow, JumpHostTimeout, request)

    async def test_jump_host_that_accepts_no_connection(self, get: Get) -> None:
        with unresponsive() as address:
            request = get(Jumper(str(address), "secret"), URL, timeout=self.tiny_timeout)
            await self.expect(self.too_slow, JumpHostUnreachable, request)

    async def test_connect_timeout_of_the_jumper_applies_without_a_timeout(self, get: Get) -> None:
        async with serving(black_hole) as peer:
            request = get(
                Jumper(str(peer), "secret", connect_timeout=0.05), URL, timeout=self.no_limit
            )
            await self.expect(self.too_slow, JumpHostTimeout, request)
