"""The guard as a client of the jump server meets it: every way to write an address."""

import asyncio
import logging
import re
import socket
import subprocess
import sys

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.target_rules import Rule
from netjumper.app.clients import OWN_NETWORKS, guard_of
from netjumper.net.resolver import Resolver
from netjumper.server.guard import Guard
from tests.support.namespaces import call_in_namespace
from tests.support.peers import echo, eventually, receive_exactly, serving
from tests.support.services import LOOPBACK, jump_server_running, refusal, request_tunnel, resolver

FULLWIDTH = str.maketrans("0127", "\uff10\uff11\uff12\uff17")


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0x7f000001",
        "0",
        "127.0.0.1".translate(FULLWIDTH),
        "127.1".translate(FULLWIDTH),
    ],
)
async def test_an_ipv4_literal_in_any_notation_is_refused(host, caplog):
    caplog.set_level(logging.INFO)
    asks_the_system = Resolver(asyncio.get_running_loop())
    async with serving(echo) as target:
        async with jump_server_running(guard=Guard(), resolver=asks_the_system) as (_, jump):
            message = await refusal(jump, f"{host}:{target.address.port}")
        port = target.address.port
        assert message.endswith(f":{port}: refused by a rule, not permitted")
        assert re.search(
            r"\(this machine \((127|0)\.0\.0\.[01]\); --allow .* opens it\)", caplog.text
        )
        assert await target.connection_count() == 0


@pytest.mark.parametrize(
    "host", ["[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"]
)
async def test_an_ipv6_literal_in_any_notation_is_refused(host):
    async with jump_server_running(guard=Guard()) as (_, jump):
        assert (await refusal(jump, f"{host}:80")).endswith(", not permitted")


async def test_ipv4_mapped_address_is_dialled_as_ipv4():
    guard = Guard([Rule.parse("127.0.0.0/8")])
    async with serving(echo) as target, jump_server_running(guard=guard) as (_, jump):
        with await request_tunnel(jump, f"[::ffff:127.0.0.1]:{target.address.port}") as sock:
            assert await receive_exactly(sock, 1) == b"\0"
        assert await target.connection_count() == 1


async def test_ipv4_mapped_address_of_a_name_is_dialled_as_ipv4():
    def find(host: str, port: int, **_: object) -> list[object]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::ffff:127.0.0.1", port, 0, 0))]

    guard = Guard([Rule.parse("127.0.0.0/8")])
    async with serving(echo) as target:
        async with jump_server_running(guard=guard, resolver=resolver(find)) as (_, jump):
            with await request_tunnel(jump, f"mapped.example:{target.address.port}") as sock:
                assert await receive_exactly(sock, 1) == b"\0"
        assert await target.connection_count() == 1


async def test_only_the_allowed_addresses_of_a_name_are_dialled():
    def find(host: str, port: int, **_: object) -> list[object]:
        return [
            (family, socket.SOCK_STREAM, 6, "", (ip, port))
            for family, ip in [
                (socket.AF_INET6, "::1"),
                (socket.AF_INET, "127.0.0.2"),
                (socket.AF_INET, "127.0.0.1"),
            ]
        ]

    guard = Guard([Rule.parse("127.0.0.1")])
    async with serving(echo) as target:
        async with jump_server_running(guard=guard, resolver=resolver(find)) as (_, jump):
            with await request_tunnel(jump, f"rebound.example:{target.address.port}") as sock:
                assert await receive_exactly(sock, 1) == b"\0"
        assert await target.connection_count() == 1


async def test_a_name_is_looked_up_once():
    looked_up: list[str] = []

    def find(host: str, port: int, **_: object) -> list[object]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async with serving(echo) as target:
        async with jump_server_running(resolver=resolver(find)) as (_, jump):
            with await request_tunnel(jump, f"rebound.example:{target.address.port}") as sock:
                assert await receive_exactly(sock, 1) == b"\0"
    assert looked_up == ["rebound.example"]


async def test_a_denied_name_is_not_looked_up(caplog):
    def find(host: str, port: int, **_: object) -> list[object]:
        raise AssertionError(f"{host} was looked up")

    guard = Guard(deny=[Rule.parse(".internal.example")])
    async with jump_server_running(guard=guard, resolver=resolver(find)) as (_, jump):
        message = await refusal(jump, "DB.Internal.Example.:80")
        assert message == "dial tcp DB.Internal.Example.:80: refused by a rule, not permitted"
        assert "(denied by .internal.example)" in caplog.text


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ("127.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.3"),
        ("::", "127.0.0.3"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
    ],
)
async def test_its_own_listener_is_refused_whatever_is_allowed(listen, host):
    guard = Guard([Rule.parse("0.0.0.0/0"), Rule.parse("::/0")])
    async with jump_server_running(listen=[ListenAddress(listen, 0)], guard=guard) as (service, _):
        port = Address.parse(service.address_of("netjumper")).port
        jump = Address("::1" if listen == "::1" else "127.0.0.1", port)
        message = await refusal(jump, f"{host}:{port}")
        assert message == f"dial tcp {host}:{port}: the target is this jump server, not permitted"
        await eventually(lambda: len(service.sessions) == 0)


async def test_its_port_on_another_address_is_not_its_own_listener():
    async with jump_server_running(listen=[LOOPBACK]) as (service, jump):
        with socket.create_server(("127.0.0.2", jump.port)):
            with await request_tunnel(jump, f"127.0.0.2:{jump.port}") as sock:
                assert await receive_exactly(sock, 1) == b"\0"
        await eventually(lambda: len(service.sessions) == 0)


async def test_other_listeners_of_the_process_are_refused():
    def is_own_listener(ip: str, port: int) -> bool:
        return (ip, port) == ("127.0.0.1", 1080)

    async with jump_server_running(is_own_listener=is_own_listener) as (_, jump):
        message = await refusal(jump, "127.0.0.1:1080")
        assert message == "dial tcp 127.0.0.1:1080: the target is this jump server, not permitted"


@pytest.mark.needs("ip")
@pytest.mark.skipif(sys.platform != "linux", reason="the system tells its networks on Linux only")
def test_public_address_of_this_machine_is_refused() -> None:
    call_in_namespace(__name__, dial_own_addresses.__name__)


def dial_own_addresses() -> None:
    subprocess.run(["ip", "address", "add", "203.0.113.5/28", "dev", "lo"], check=True)
    logging.disable()  # each refusal is logged, and standard error must stay empty
    OWN_NETWORKS()

    async def dial() -> None:
        with socket.create_server(("203.0.113.5", 0)) as service:
            port = service.getsockname()[1]
            async with jump_server_running(guard=guard_of(())) as (_, jump):
                for host in ("203.0.113.5", "203.0.113.6"):
                    message = await refusal(jump, f"{host}:{port}")
                    assert message.endswith("refused by a rule, not permitted")
            opened = guard_of([Rule.parse("203.0.113.5")])
            async with jump_server_running(guard=opened) as (_, jump):
                with await request_tunnel(jump, f"203.0.113.5:{port}") as sock:
                    assert await receive_exactly(sock, 1) == b"\0"

    asyncio.run(dial())
    OWN_NETWORKS.close()
