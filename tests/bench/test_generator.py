"""The load generator, against its own target on loopback, with small counts."""

import socket
from collections.abc import Iterator

import pytest

from bench.generator import Measurement, build
from bench.processes import BenchError
from tests.support.programs import SECRET, Chain, chain_running

pytestmark = pytest.mark.needs("cc")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with chain_running() as it:
        yield it


def test_generator_makes_the_requested_number_of_connections(generator) -> None:
    result = generator.measure("connect", "direct", "-c", 3, "-n", 20)
    assert (result.samples, result.errors) == (20, 0)
    assert 0 < result.p50 <= result.p99 < result.seconds


def test_requests_are_answered(generator) -> None:
    result = generator.measure("get", "direct", "-c", 3, "-n", 20)
    assert (result.samples, result.errors) == (20, 0)


def test_generator_measures_for_the_requested_time(generator) -> None:
    result = generator.measure("connect", "direct", "-t", 0.2)
    assert result.samples > 0
    assert result.seconds >= 0.2


def test_large_messages_are_echoed(generator) -> None:
    result = generator.measure("pingpong", "direct", "-c", 2, "-n", 10, "-b", 300_000)
    assert (result.samples, result.errors) == (10, 0)


@pytest.mark.parametrize("mode", ["down", "up"])
def test_bulk_data_is_counted(generator, mode) -> None:
    result = generator.measure(mode, "direct", "-c", 2, "-t", 0.1)
    assert result.errors == 0
    assert result.size > 1_000_000


def test_pages_are_fetched(generator) -> None:
    result = generator.measure("page", "direct", "-c", 2, "-n", 4, "-b", 5000)
    assert (result.samples, result.errors) == (4, 0)


def test_idle_connections_are_held(generator) -> None:
    with generator.holding("direct", 50) as result:
        assert (result.samples, result.errors) == (50, 0)


@pytest.mark.parametrize("kind", ["socks5", "http", "netjumper"])
def test_generator_connects_through_proxies(generator, chain, kind) -> None:
    addresses = {"socks5": chain.socks, "http": chain.http, "netjumper": f"{chain.jump}:{SECRET}"}
    for mode, *options in (
        ("connect", "-n", 5),
        ("get", "-n", 5),
        ("pingpong", "-n", 5),
        ("page", "-n", 1),
    ):
        result = generator.measure(mode, f"{kind}:{addresses[kind]}", *options)
        assert (mode, result.errors) == (mode, 0)
        assert result.samples > 0


def test_wrong_secret_counts_as_failure(generator, chain) -> None:
    result = generator.measure("connect", f"netjumper:{chain.jump}:wrong", "-n", 2)
    assert (result.samples, result.errors) == (0, 2)


def test_unreachable_proxy_counts_as_failure(generator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "{}:{}".format(*server.getsockname())
    result = generator.measure("connect", f"socks5:{address}", "-n", 3)
    assert (result.samples, result.errors) == (0, 3)


def test_lost_idle_connections_are_reported(generator) -> None:
    with chain_running() as chain, pytest.raises(BenchError, match="idle connections died"):
        with generator.holding(f"socks5:{chain.socks}", 5):
            chain.bridge.process.kill()


@pytest.mark.parametrize("route", ["socks9:127.0.0.1:1", "socks5:localhost:1", "http:127.0.0.1"])
def test_invalid_route_is_refused(generator, route) -> None:
    with pytest.raises(BenchError, match="connect failed"):
        generator.measure("connect", route, "-n", 1)


def test_up_to_date_program_is_not_rebuilt(program) -> None:
    modified = program.stat().st_mtime_ns
    assert build(program.parent) == program
    assert program.stat().st_mtime_ns == modified


def test_missing_compiler_is_reported(tmp_path) -> None:
    with pytest.raises(BenchError, match="apt install build-essential"):
        build(tmp_path, "no-such-compiler")


def test_line_of_json_is_parsed() -> None:
    line = '{"mode": "idle", "samples": 3, "errors": 1, "seconds": 0.5}'
    assert Measurement.parse(line) == Measurement(samples=3, errors=1, seconds=0.5)
