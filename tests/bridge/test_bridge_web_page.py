"""Scripts of web pages that send requests to the bridge's listeners cause no dial.

A page can make its browser send origin-form requests with any Host (its own name, if that resolves
to 127.0.0.1), any body, and all fields that scripts may set. It cannot make it send absolute-form,
CONNECT or `Proxy-*` to an address that is not the browser's proxy.
"""

import socket

import pytest

from netjumper.bridge.credentials import Credentials
from tests.support.direct_bridge import RefusingConnector, direct_bridge
from tests.support.peers import connected, eventually, receive_to_end, send

ORIGIN = "Origin: http://page.example"
CLIENT = [ORIGIN, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"]
HIDDEN = "GET http://target.example/ HTTP/1.1\r\nHost: target.example\r\n\r\n"
CONNECT = "CONNECT target.example:443 HTTP/1.1\r\nHost: target.example\r\n\r\n"
HOSTS = ["127.0.0.1:8118", "localhost:8118", "page.example:8118", "target.example", ""]


def request(line: str, *fields: str, host: str = "127.0.0.1:8118", body: str = "") -> bytes:
    size = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([line, f"Host: {host}", *CLIENT, *fields, *size, "", body]).encode()


PREFLIGHT = (
    "Access-Control-Request-Method: PUT",
    "Access-Control-Request-Headers: x",
    "Access-Control-Request-Private-Network: true",
    "Access-Control-Request-Local-Network: true",
)
SOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SENT = {
    "img": request("GET /pixel.png HTTP/1.1"),
    "HEAD": request("HEAD / HTTP/1.1"),
    "fetch with a target in its path": request("GET /http://target.example/ HTTP/1.1"),
    "fetch with a target in its query": request("GET /?http://target.example/ HTTP/1.1"),
    "fetch of //": request("GET //target.example/ HTTP/1.1"),
    "health, metrics, PAC": request("GET /proxy.pac HTTP/1.1"),
    "form": request("POST / HTTP/1.1", "Content-Type: text/plain", body=HIDDEN),
    "form with a CONNECT": request("POST / HTTP/1.1", "Content-Type: text/plain", body=CONNECT),
    "form with SOCKS": request("POST / HTTP/1.1", body="\5\1\0\5\1\0\1\x7f\0\0\1\0\x50"),
    "preflight": request("OPTIONS / HTTP/1.1", *PREFLIGHT),
    "preflight of a path": request("OPTIONS /x HTTP/1.1", *PREFLIGHT),
    "PUT": request("PUT /x HTTP/1.1", body=HIDDEN),
    "WebSocket": request("GET / HTTP/1.1", *SOCKET) + HIDDEN.encode(),
    **{f"host {host}": request("GET / HTTP/1.1", host=host) for host in HOSTS},
}


async def answer_to(listener: str, sent: bytes) -> bytes:
    with await connected(listener) as sock:
        await send(sock, sent)
        sock.shutdown(socket.SHUT_WR)
        return await receive_to_end(sock)


@pytest.mark.parametrize("users", [None, Credentials({"a": "b"})], ids=["open", "with password"])
@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
async def test_request_of_a_web_page_is_not_forwarded_and_its_answer_not_readable(sent, users):
    connector = RefusingConnector()
    async with direct_bridge(connector, credentials=users) as service:
        for listener in ("http", "mixed"):
            received = await answer_to(service.address_of(listener), sent)
            assert received.startswith(b"HTTP/1.1 400 " if users is None else b"HTTP/1.1 407 ")
            assert b"access-control-" not in received.lower()
            assert b"sec-websocket-accept" not in received.lower()
    assert connector.targets == []


async def test_no_host_gets_special_treatment():
    """A page whose own name resolves to the bridge (DNS rebinding) reads nothing of value."""
    async with direct_bridge(RefusingConnector()) as service:
        listener = service.address_of("http")
        received = {
            await answer_to(listener, request("GET / HTTP/1.1", host=host)) for host in HOSTS
        }
    assert len(received) == 1


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
async def test_socks_listener_does_not_answer_a_web_page(sent):
    connector = RefusingConnector()
    async with direct_bridge(connector) as service:
        assert await answer_to(service.address_of("socks"), sent) == b""
        await eventually(lambda: len(service.sessions) == 0)
    assert connector.targets == []


async def test_body_after_407_is_not_read_as_a_request():
    connector = RefusingConnector()
    async with direct_bridge(connector, credentials=Credentials({"a": "b"})) as service:
        right = HIDDEN.replace("\r\n\r\n", "\r\nProxy-Authorization: Basic YTpi\r\n\r\n")
        received = await answer_to(
            service.address_of("http"), request("POST / HTTP/1.1", body=right)
        )
    assert received.count(b"HTTP/1.1 ") == 1
    assert connector.targets == []


async def test_ping_answer_is_not_readable_by_web_pages():
    async with direct_bridge(RefusingConnector()) as service:
        received = await answer_to(
            service.address_of("http"), request("OPTIONS * HTTP/1.1", *PREFLIGHT)
        )
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"access-control-" not in received.lower()
