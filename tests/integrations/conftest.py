"""A jump server that alone knows the target's name, and web servers behind it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import pytest
import trustme

from netjumper import Jumper
from netjumper.access_log import ACCESS_LOG
from tests.support.peers import eventually, no_descriptor_leaks
from tests.support.programs import web_server
from tests.support.remote_network import forbid_name_lookups
from tests.support.servers import serving_context
from tests.support.services import SECRET, jump_server_running

NAME = "target.example"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY")


@dataclass
class Candidate:
    """The way to the target, and what went over it."""

    jumper: Jumper
    records: Callable[[], int]
    finished: Callable[[], bool]

    async def tunnels(self) -> int:
        """Return how many there were; the client must be closed."""
        await eventually(self.finished)
        return self.records()


@pytest.fixture(autouse=True)
def _no_name_is_looked_up_here(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_name_lookups(monkeypatch)


@pytest.fixture
async def _no_descriptor_leaks() -> AsyncIterator[None]:
    async with no_descriptor_leaks():
        yield


@pytest.fixture(autouse=True)
def _no_proxy_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXY_VARIABLES, "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy_variables(_no_proxy_is_set: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set proxies that nobody may use: nothing listens there."""
    for name in PROXY_VARIABLES:
        monkeypatch.setenv(name, "http://user:password@127.0.0.1:1")


@pytest.fixture
async def path(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Candidate]:
    caplog.set_level(logging.INFO, ACCESS_LOG.name)

    def records() -> int:
        return sum(record.name == ACCESS_LOG.name for record in caplog.records)

    async with jump_server_running() as (service, address):
        jumper = Jumper(str(address), SECRET)
        yield Candidate(jumper, records, lambda: len(service.sessions) == 0)


@pytest.fixture
def jumper(path: Candidate) -> Jumper:
    return path.jumper


@pytest.fixture(scope="session")
def http_url() -> Iterator[str]:
    with web_server() as port:
        yield f"http://{NAME}:{port}"


@pytest.fixture(scope="session")
def https_url(authority: trustme.CA) -> Iterator[str]:
    with web_server(serving_context(authority, NAME)) as port:
        yield f"https://{NAME}:{port}"


@pytest.fixture(scope="session")
def misnamed_url(authority: trustme.CA) -> Iterator[str]:
    """A server whose certificate is for another name."""
    with web_server(serving_context(authority, "other.example")) as port:
        yield f"https://{NAME}:{port}"


@pytest.fixture
async def http2_url(authority: trustme.CA) -> AsyncIterator[str]:
    context = serving_context(authority, NAME)
    context.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(_speak_http2, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://{NAME}:{server.sockets[0].getsockname()[1]}"


async def _speak_http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request with the number of its stream."""
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    peer.initiate_connection()
    with contextlib.suppress(ConnectionError):
        writer.write(peer.data_to_send())
        while data := await reader.read(65536):
            for event in peer.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    peer.send_headers(event.stream_id, [(":status", "200")])
                    peer.send_data(event.stream_id, b"%d" % event.stream_id, end_stream=True)
            writer.write(peer.data_to_send())
        writer.close()
        await writer.wait_closed()
