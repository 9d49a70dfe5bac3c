"""A jump server and a bridge as two processes, and web servers behind them."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from programs import SECRET, Chain, running, web_server


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    env = {"NETJUMPER_SECRET": SECRET}
    with running("netjumper", "--listen", "127.0.0.1:0", env=env) as server:
        jump = server.address("netjumper")
        doors = ["--socks", "127.0.0.1:0", "--http", "127.0.0.1:0", "--mixed", "127.0.0.1:0"]
        with running("netjumper-bridge", "--jump", jump, *doors, env=env) as bridge:
            yield Chain(
                server,
                bridge,
                jump,
                bridge.address("SOCKS"),
                bridge.address("HTTP"),
                bridge.address("SOCKS and HTTP"),
            )


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def http_port() -> Iterator[int]:
    with web_server() as port:
        yield port


@pytest.fixture(scope="session")
def https_port(authority: trustme.CA) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with web_server(context) as port:
        yield port
