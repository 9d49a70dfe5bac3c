"""The load generator, built and run against its own target on loopback, with tiny counts."""

import socket
from collections.abc import Iterator

import pytest

from bench.generator import Measured, build
from bench.processes import BenchError
from tests.support.programs import SECRET, Chain, chain_running

pytestmark = pytest.mark.needs("cc")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with chain_running() as it:
        yield it


def test_generator_makes_the_requested_number_of_connections(generator) -> None:
    found = generator.measure("connect", "direct", "-c", 3, "-n", 20)
    assert (found.samples, found.errors) == (20, 0)
    assert 0 < found.p50 <= found.p99 < found.seconds


def test_a_request_is_answered(generator) -> None:
    found = generator.measure("get", "direct", "-c", 3, "-n", 20)
    assert (found.samples, found.errors) == (20, 0)


def test_generator_measures_for_the_requested_time(generator) -> None:
    found = generator.measure("connect", "direct", "-t", 0.2)
    assert found.samples > 0
    assert found.seconds >= 0.2


def test_messages_come_back_whole(generator) -> None:
    found = generator.measure("pingpong", "direct", "-c", 2, "-n", 10, "-b", 300_000)
    assert (found.samples, found.errors) == (10, 0)


@pytest.mark.parametrize("mode", ["down", "up"])
def test_bulk_data_is_counted(generator, mode) -> None:
    found = generator.measure(mode, "direct", "-c", 2, "-t", 0.1)
    assert found.errors == 0
    assert found.size > 1_000_000


def test_pages_are_fetched(generator) -> None:
    found = generator.measure("page", "direct", "-c", 2, "-n", 4, "-b", 5000)
    assert (found.samples, found.errors) == (4, 0)


def test_idle_connections_are_held(generator) -> None:
    with generator.holding("direct", 50) as found:
        assert (found.samples, found.errors) == (50, 0)


@pytest.mark.parametrize("kind", ["socks5", "http", "netjumper"])
def test_generator_connects_through_proxies(generator, chain, kind) -> None:
    addresses = {"socks5": chain.socks, "http": chain.http, "netjumper": f"{chain.jump}:{SECRET}"}
    for mode, *options in (
        ("connect", "-n", 5),
        ("get", "-n", 5),
        ("pingpong", "-n", 5),
        ("page", "-n", 1),
    ):
        found = generator.measure(mode, f"{kind}:{addresses[kind]}", *options)
        assert (mode, found.errors) == (mode, 0)
        assert found.samples > 0


def test_a_wrong_secret_is_a_failure(generator, chain) -> None:
    found = generator.measure("connect", f"netjumper:{chain.jump}:wrong", "-n", 2)
    assert (found.samples, found.errors) == (0, 2)


def test_a_proxy_that_is_not_there_is_a_failure(generator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "{}:{}".format(*server.getsockname())
    found = generator.measure("connect", f"socks5:{address}", "-n", 3)
    assert (found.samples, found.errors) == (0, 3)


def test_lost_idle_connections_are_reported(generator) -> None:
    with chain_running() as chain, pytest.raises(BenchError, match="idle connections died"):
        with generator.holding(f"socks5:{chain.socks}", 5):
            chain.bridge.process.kill()


@pytest.mark.parametrize("way", ["socks9:127.0.0.1:1", "socks5:localhost:1", "http:127.0.0.1"])
def test_unknown_mode_is_refused(generator, way) -> None:
    with pytest.raises(BenchError, match="connect failed"):
        generator.measure("connect", way, "-n", 1)


def test_a_program_that_is_newer_than_its_sources_is_kept(program) -> None:
    made = program.stat().st_mtime_ns
    assert build(program.parent) == program
    assert program.stat().st_mtime_ns == made


def test_missing_compiler_is_reported(tmp_path) -> None:
    with pytest.raises(BenchError, match="apt install build-essential"):
        build(tmp_path, "no-such-compiler")


def test_a_line_is_understood() -> None:
    line = '{"mode": "idle", "samples": 3, "errors": 1, "seconds": 0.5}'
    assert Measured.parse(line) == Measured(samples=3, errors=1, seconds=0.5)
