"""A jump server and a bridge as two processes, and web servers behind them."""

from collections.abc import Iterator

import pytest
import trustme

from tests.support.programs import Chain, chain_running, web_server
from tests.support.servers import serving_context


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    with chain_running() as chain:
        yield chain


@pytest.fixture(scope="session")
def http_port() -> Iterator[int]:
    with web_server() as port:
        yield port


@pytest.fixture(scope="session")
def https_port(authority: trustme.CA) -> Iterator[int]:
    with web_server(serving_context(authority, "localhost", "127.0.0.1")) as port:
        yield port
