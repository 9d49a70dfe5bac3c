"""What each integration must make of a tunnel that does not come about."""

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
from tests.support.peers import black_hole, closed_port, serving, unanswering

URL = "http://target.example"

Get = Callable[..., Awaitable[list[Any]]]
"""Given a jumper, URLs and options of the client's; returns what came."""


@pytest.mark.usefixtures("_nothing_is_left")
class NoTunnel:
    """The tests; a fixture `get` asks with the client, and subclasses say what it raises.

    Attributes:
        unconnected: when there is no connection.
        unknown_name: when the target's name is unknown.
        impossible_host: when no host can have such a name.
        too_slow: when it takes too long.
        impatience: the option `timeout` with a value that no connection can meet.
        no_limit: the option `timeout` for no limit.
    """

    unconnected: type[Exception]
    unknown_name: type[Exception]
    impossible_host: type[Exception]
    too_slow: type[Exception]
    impatience: Any
    no_limit: Any = None

    async def expect(
        self, error: type[Exception], cause: type, asking: Awaitable[object]
    ) -> Exception:
        with pytest.raises(error) as caught:
            await asking
        assert type(caught.value) is error
        assert type(caught.value.__cause__) is cause
        return caught.value

    async def test_a_jump_host_that_is_down(self, get: Get) -> None:
        jumper = Jumper(str(closed_port()), "secret")
        error = await self.expect(self.unconnected, JumpHostUnreachable, get(jumper, URL))
        assert f"jump host {jumper.address}: connection refused" in str(error)

    async def test_a_wrong_secret(self, jumper: Jumper, http_url: str, get: Get) -> None:
        stranger = Jumper(str(jumper.address), "a guess")
        await self.expect(self.unconnected, WrongSecret, get(stranger, http_url))

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    async def test_a_target_that_refuses(self, jumper: Jumper, get: Get, host: str) -> None:
        url = f"http://{closed_port(host)}"
        await self.expect(self.unconnected, TargetRefused, get(jumper, url))

    async def test_a_name_that_the_jump_server_does_not_know(
        self, jumper: Jumper, get: Get
    ) -> None:
        await self.expect(self.unknown_name, NameNotFound, get(jumper, "https://no.such.example"))

    async def test_a_host_that_can_be_none(self, jumper: Jumper, get: Get) -> None:
        await self.expect(self.impossible_host, AddressError, get(jumper, "http://a..b/"))

    async def test_a_jump_host_that_falls_silent(self, get: Get) -> None:
        async with serving(black_hole) as peer:
            asking = get(Jumper(str(peer), "secret"), URL, timeout=self.impatience)
            await self.expect(self.too_slow, JumpHostTimeout, asking)

    async def test_jump_host_that_accepts_no_connection(self, get: Get) -> None:
        with unanswering() as address:
            asking = get(Jumper(str(address), "secret"), URL, timeout=self.impatience)
            await self.expect(self.too_slow, JumpHostUnreachable, asking)

    async def test_without_a_timeout_the_jumpers_own_limit_holds(self, get: Get) -> None:
        async with serving(black_hole) as peer:
            asking = get(
                Jumper(str(peer), "secret", connect_timeout=0.05), URL, timeout=self.no_limit
            )
            await self.expect(self.too_slow, JumpHostTimeout, asking)
