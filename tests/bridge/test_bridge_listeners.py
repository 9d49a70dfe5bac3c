"""The bridge's listeners: authentication, and clients that speak the wrong protocol.

A rejected client never causes a dial.
"""

import base64
import contextlib
import logging
import socket
import ssl

import pytest

from netjumper.bridge.credentials import Credentials
from netjumper.sessions.admission import AdmissionLimits
from tests.support.direct_bridge import RefusingConnector, direct_bridge
from tests.support.peers import (
    connected,
    echo,
    eventually,
    receive,
    receive_exactly,
    receive_to_end,
    send,
    serving,
)

USERS = Credentials({"alice": "open:sesame"})
TARGET = b"target.example"
ASK5 = b"\5\1\0\3" + bytes((len(TARGET),)) + TARGET + b"\0\x50"


def basic(user: bytes, password: bytes, scheme: bytes = b"Basic") -> bytes:
    token = base64.b64encode(user + b":" + password)
    return b"Proxy-Authorization: " + scheme + b" " + token


def connect(*fields: bytes) -> bytes:
    return b"\r\n".join([b"CONNECT target.example:80 HTTP/1.1", b"Host: x", *fields, b"", b""])


def get(*fields: bytes) -> bytes:
    return b"\r\n".join([b"GET http://target.example/ HTTP/1.1", b"Host: x", *fields, b"", b""])


def login(user: bytes, password: bytes, version: int = 1) -> bytes:
    """Return a SOCKS5 client's bytes with these credentials."""
    given = bytes((version, len(user))) + user + bytes((len(password),)) + password
    return b"\5\1\2" + given + ASK5


RIGHT = [b"alice", b"open:sesame"]
KEPT_OUT = {
    "SOCKS4": ("socks", b"\4\1\0\x50\x7f\0\0\1alice\0"),
    "SOCKS4a": ("socks", b"\4\1\0\x50\0\0\0\1alice\0" + TARGET + b"\0"),
    "SOCKS5 without authentication": ("socks", b"\5\1\0" + ASK5),
    "SOCKS5 that does not wait for the method": ("socks", b"\5\2\0\2" + ASK5),
    "SOCKS5 wrong user": ("socks", login(b"bob", RIGHT[1])),
    "SOCKS5 wrong password": ("socks", login(RIGHT[0], b"sesame")),
    "SOCKS5 empty password": ("socks", login(RIGHT[0], b"")),
    "SOCKS5 nothing": ("socks", login(b"", b"")),
    "SOCKS5 longest": ("socks", login(b"a" * 255, b"b" * 255)),
    "SOCKS5 NUL behind": ("socks", login(RIGHT[0], RIGHT[1] + b"\0")),
    "SOCKS5 CRLF behind": ("socks", login(RIGHT[0] + b"\r\n", RIGHT[1])),
    "SOCKS5 no UTF-8": ("socks", login(b"\xff", b"\xfe")),
    "SOCKS5 another version of it": ("socks", login(*RIGHT, version=5)),
    "CONNECT": ("http", connect()),
    "GET": ("http", get()),
    "GET wrong user": ("http", get(basic(b"bob", RIGHT[1]))),
    "GET wrong password": ("http", get(basic(RIGHT[0], b"sesame"))),
    "CONNECT wrong user": ("http", connect(basic(b"bob", RIGHT[1]))),
    "CONNECT wrong password": ("http", connect(basic(RIGHT[0], b"sesame"))),
    "CONNECT Bearer": ("http", connect(basic(*RIGHT, scheme=b"Bearer"))),
    "CONNECT Digest": ("http", connect(basic(*RIGHT, scheme=b"Digest"))),
    "CONNECT no scheme": ("http", connect(basic(*RIGHT, scheme=b""))),
    "CONNECT nothing": ("http", connect(basic(b"", b""))),
    "CONNECT very long": ("http", connect(basic(b"a" * 20_000, b"b" * 20_000))),
    "CONNECT NUL behind": ("http", connect(basic(RIGHT[0], RIGHT[1] + b"\0"))),
    "CONNECT CRLF behind": ("http", connect(basic(RIGHT[0] + b"\r\n", RIGHT[1]))),
    "CONNECT no UTF-8": ("http", connect(basic(b"\xff", b"\xfe"))),
    "CONNECT for the target": ("http", connect(basic(*RIGHT).removeprefix(b"Proxy-"))),
}  # fmt: skip


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(("listener", "received"), KEPT_OUT.values(), ids=KEPT_OUT)
async def test_unauthenticated_client_causes_no_dial(listener, received, mixed, caplog):
    connector = RefusingConnector()
    with caplog.at_level(logging.DEBUG):
        async with direct_bridge(connector, credentials=USERS) as service:
            with await connected(service.address_of("mixed" if mixed else listener)) as sock:
                await send(sock, received)
                sock.shutdown(socket.SHUT_WR)
                answer = await receive_to_end(sock)
            await eventually(lambda: len(service.sessions) == 0)
    assert connector.targets == []
    assert b"HTTP/1.1 407 " in answer or listener == "socks"
    assert "sesame" not in caplog.text
    assert "bob" not in caplog.text


@pytest.mark.parametrize(
    ("listener", "received"),
    [("socks", login(*RIGHT)), ("http", connect(basic(*RIGHT))), ("http", get(basic(*RIGHT)))],
)
async def test_authenticated_client_is_served_and_only_its_name_is_logged(
    listener, received, caplog
):
    connector = RefusingConnector()
    with caplog.at_level(logging.DEBUG):
        async with direct_bridge(connector, credentials=USERS) as service:
            with await connected(service.address_of(listener)) as sock:
                await send(sock, received)
                await receive_to_end(sock)
    assert connector.targets == ["target.example:80"]
    assert "(alice) -> target.example:80" in caplog.text
    assert "sesame" not in caplog.text
    assert base64.b64encode(b":".join(RIGHT)).decode() not in caplog.text


def client_hello() -> bytes:
    """Return the first bytes of a real TLS client."""
    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


NO_TLS = (
    "TLS was sent to a proxy listener, which does not accept it; configure the client with "
    "http:// or socks5h://, not https://"
)
TO_SOCKS = (
    "HTTP was sent to a listener for SOCKS; "
    "configure the client with the address of --http or --mixed"
)
TO_HTTP = (
    "SOCKS was sent to a listener for HTTP; "
    "configure the client with the address of --socks or --mixed"
)
WRONG_PROTOCOL = [
    ("socks", client_hello(), NO_TLS),
    ("http", client_hello(), NO_TLS),
    ("mixed", client_hello(), NO_TLS),
    ("socks", connect(), TO_SOCKS),
    ("socks", get(), TO_SOCKS),
    ("http", b"\5\1\0" + ASK5, TO_HTTP),
    ("http", b"\4\1\0\x50\x7f\0\0\1alice\0", TO_HTTP),
]


@pytest.mark.parametrize(("listener", "received", "message"), WRONG_PROTOCOL)
async def test_wrong_protocol_is_logged_in_one_line_without_a_dial(
    listener, received, message, caplog
):
    connector = RefusingConnector()
    async with direct_bridge(connector) as service:
        with await connected(service.address_of(listener)) as sock:
            await send(sock, received)
            await receive_to_end(sock)
        await eventually(lambda: len(service.sessions) == 0)
    assert connector.targets == []
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.endswith(message)
    assert line.count("\n") == 0


@pytest.mark.parametrize("received", [b"\x16", b"G", b"P"])
async def test_first_byte_reveals_the_wrong_protocol_on_a_socks_listener(received):
    async with direct_bridge(RefusingConnector()) as service:
        with await connected(service.address_of("socks")) as sock:
            await send(sock, received)
            assert await receive(sock) == b""


async def test_methods_of_clients_are_shortened_and_are_no_kinds_of_log_lines(caplog):
    async with direct_bridge(RefusingConnector()) as service:
        for letter in b"ABC":
            with await connected(service.address_of("http")) as sock:
                await send(sock, bytes([letter]) * 20_000 + b" / HTTP/1.1\r\nHost: us\r\n\r\n")
                await receive_to_end(sock)
        await eventually(lambda: len(service.sessions) == 0)
    records = [record.msg for record in caplog.records]
    assert [record.kind for record in records] == ["Refused"] * 3
    assert max(len(str(record)) for record in records) < 400


async def test_unauthenticated_connections_do_not_block_authenticated_ones():
    options = {
        "credentials": Credentials({"ann": "pw"}),
        "admission": AdmissionLimits(unauthenticated=3),
    }
    async with serving(echo) as target, direct_bridge(**options) as service:
        address = service.address_of("socks")
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                stack.enter_context(await connected(address))
            await eventually(lambda: len(service.sessions) == 3)
            with await connected(address) as sock:
                await send(sock, b"\5\1\2\1\3ann\2pw")
                assert await receive_exactly(sock, 4) == b"\5\2\1\0"
                host, port = target.address.host, target.address.port
                await send(sock, b"\5\1\0\1" + socket.inet_aton(host) + port.to_bytes(2))
                assert (await receive_exactly(sock, 10))[:2] == b"\5\0"
