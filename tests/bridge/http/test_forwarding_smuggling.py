"""Request smuggling: a target receives exactly the bytes rebuilt from the parsed request.

A request that two parsers could read as two is not forwarded at all. `TARGET` in the tables is
replaced by the target's address. A second request follows each rejected one, and must not be
served.
"""

import re
import socket

import pytest

from tests.support.direct_bridge import direct_bridge
from tests.support.peers import (
    Peer,
    connected,
    eventually,
    receive,
    receive_exactly,
    receive_to_end,
    send,
    serving,
)

SECOND = b"GET http://TARGET/smuggled HTTP/1.1\r\nHost: TARGET\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
VIA = b"Via: 1.1 netjumper-bridge-........\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
BODY = b"5\r\nhello\r\n0\r\n\r\n"


def post(*fields: bytes, body: bytes = b"", line: bytes = b"POST http://TARGET/ HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: TARGET", *fields, b"", body])


def forwarded(*fields: bytes, body: bytes = b"", line: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: TARGET", *fields, VIA, body])


def coded(name_and_value: bytes) -> bytes:
    return post(name_and_value, body=BODY)


def sized(*values: bytes) -> bytes:
    return post(*(b"Content-Length: " + value for value in values), body=b"hello")


def to(url: bytes) -> bytes:
    return post(line=b"GET " + url + b" HTTP/1.1")


REFUSED = {
    "length and coding": post(b"Content-Length: 5", CHUNKED, body=BODY),
    "coding and length": post(CHUNKED, b"Content-Length: 5", body=BODY),
    "coding in HTTP/1.0": post(CHUNKED, line=b"POST http://TARGET/ HTTP/1.0", body=BODY),
    "two lengths": sized(b"5", b"0"),
    "one length twice": sized(b"5", b"5"),
    "a list of lengths": sized(b"5, 5"),
    "length with a plus": sized(b"+5"),
    "length with a minus": sized(b"-5"),
    "length with a space in it": sized(b"5 5"),
    "hexadecimal length": sized(b"0x5"),
    "length with an exponent": sized(b"1e1"),
    "empty length": sized(b""),
    "length in other digits": sized("\uff15".encode()),
    "length with an underscore": sized(b"1_0"),
    "length over 20 digits": sized(b"9" * 21),
    "length behind a vertical tab": sized(b"\x0b5"),
    "xchunked": coded(b"Transfer-Encoding: xchunked"),
    "chunked, identity": coded(b"Transfer-Encoding: chunked, identity"),
    "identity": coded(b"Transfer-Encoding: identity"),
    "gzip, chunked": coded(b"Transfer-Encoding: gzip, chunked"),
    "coding twice": post(CHUNKED, CHUNKED, body=BODY),
    "coding in quotes": coded(b'Transfer-Encoding: "chunked"'),
    "coding with a parameter": coded(b"Transfer-Encoding: chunked;q=1"),
    "empty coding": coded(b"Transfer-Encoding:"),
    "coding behind a vertical tab": coded(b"Transfer-Encoding: \x0bchunked"),
    "coding before a NUL": coded(b"Transfer-Encoding: chunked\0"),
    "space before the colon": coded(b"Transfer-Encoding : chunked"),
    "tab before the colon": coded(b"Transfer-Encoding\t: chunked"),
    "NUL in a name": coded(b"Transfer-Encoding\0: chunked"),
    "folded": coded(b"Transfer-Encoding:\r\n chunked"),
    "folded by a tab": coded(b"X: y\r\n\tTransfer-Encoding: chunked"),
    "folded by bare LF": coded(b"X: y\n Transfer-Encoding: chunked"),
    "bare CR in a value": coded(b"X: y\rTransfer-Encoding: chunked"),
    "bare CR before a name": coded(b"\rTransfer-Encoding: chunked"),
    "NUL in a value": post(b"X: a\0b"),
    "no colon": post(b"X"),
    "no name": post(b": x"),
    "two hosts": post(b"Host: other.example"),
    "a space in the host": b"GET http://TARGET/ HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a list of hosts": b"GET http://TARGET/ HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "a path in the host": b"GET http://TARGET/ HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a user in the host": b"GET http://TARGET/ HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "an empty port in the host": b"GET http://TARGET/ HTTP/1.1\r\nHost: a:\r\n\r\n",
    "no number as the port": b"GET http://TARGET/ HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "two ports": b"GET http://TARGET/ HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
    "text behind an address": b"GET http://TARGET/ HTTP/1.1\r\nHost: [::1]a\r\n\r\n",
    "open bracket": b"GET http://TARGET/ HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "name in brackets": b"GET http://TARGET/ HTTP/1.1\r\nHost: [x]\r\n\r\n",
    "brackets in a name": b"GET http://TARGET/ HTTP/1.1\r\nHost: a[b]\r\n\r\n",
    "zone": b"GET http://TARGET/ HTTP/1.1\r\nHost: [::1%lo]\r\n\r\n",
    "1001 fields": post(*[b"X:"] * 1000),
    "a field of 70 kB": post(b"X: " + b"x" * 70_000),
    "HTTP/0.9": b"GET http://TARGET/\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0": post(line=b"GET http://TARGET/ HTTP/2.0"),
    "HTTP/1.10": post(line=b"GET http://TARGET/ HTTP/1.10"),
    "http/1.1": post(line=b"GET http://TARGET/ http/1.1"),
    "two users": to(b"http://a@b:pw@TARGET/"),
    "backslash and user": to(b"http://other.example\\@TARGET/"),
    "CRLF in the authority": to(b"http://TARGET%0d%0aX:%20y/"),
    "space in the URL": to(b"http://TARGET/ /x"),
    "tab in the URL": to(b"http://TARGET/\tx"),
    "no authority": to(b"http:///TARGET/"),
    "no scheme": to(b"//TARGET/"),
    "another scheme": to(b"https://TARGET/"),
    "CONNECT with a body": post(b"Content-Length: 5", line=b"CONNECT TARGET HTTP/1.1"),
}  # fmt: skip


def placed(text: bytes, target: Peer) -> bytes:
    return text.replace(b"TARGET", str(target).encode())


class Target:
    """A target that answers after so many bytes, and keeps all that it receives."""

    def __init__(self) -> None:
        self.awaited = 0
        self.got: list[bytes] = []

    async def __call__(self, sock: socket.socket) -> None:
        data = await receive_exactly(sock, self.awaited)
        await send(sock, OK)
        self.got.append(data + await receive_to_end(sock))


async def answer_to(request: bytes, listener: str, end: bytes | None = None) -> bytes:
    """Return the answer; up to `end` if the connection stays open after it."""
    with await connected(listener) as sock:
        await send(sock, request)
        if end is None:
            return await receive_to_end(sock)
        received = b""
        while not received.endswith(end) and (more := await receive(sock)):
            received += more
        return received


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
async def test_ambiguous_request_is_not_forwarded(request_):
    async with direct_bridge() as service, serving(Target()) as target:
        received = await answer_to(placed(request_ + SECOND, target), service.address_of("http"))
        assert re.match(rb"HTTP/1\.1 (400|431|501|505) ", received)
        assert received.count(b"HTTP/1.1 ") == 1
        assert b"pw" not in received
        assert await target.connection_count() == 0


FORWARDED = {
    "a host that disagrees": (
        b"GET http://TARGET/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
        forwarded(line=b"GET / HTTP/1.1"),
    ),
    "bare LF": (
        b"GET http://TARGET/ HTTP/1.1\nHost: x\nX: y\n\n",
        forwarded(b"X: y", line=b"GET / HTTP/1.1"),
    ),
    "spaces around a value": (post(b"X: \t y \t"), forwarded(b"X: y")),
    "a body of known length": (
        post(b"Content-Length: 5", body=b"hello"),
        forwarded(b"Content-Length: 5", body=b"hello"),
    ),
    "CHUNKED": (
        coded(b"TRANSFER-ENCODING: CHUNKED"),
        forwarded(CHUNKED, body=BODY),
    ),
    "chunk extensions and zeros": (
        post(CHUNKED, body=b'0005;a=b;c="0"\r\nhello\r\n000;last\r\n\r\n'),
        forwarded(CHUNKED, body=BODY),
    ),
    "trailers": (
        post(CHUNKED, b"Connection: X-Hop", body=BODY[:-2] + b"\r\n".join([
            b"X-Kept: 1", b"Content-Length: 9", b"Host: other", b"Transfer-Encoding: chunked",
            b"Proxy-Authorization: Basic YTpi", b"X-Hop: 1", b"", b"",
        ])),
        forwarded(CHUNKED, body=BODY[:-2] + b"X-Kept: 1\r\n\r\n"),
    ),
    "between two hops": (
        post(
            b"Connection: close, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=1", b"TE: trailers",
            b"Proxy-Connection: close", b"Proxy-Authorization: Basic YTpi", b"Upgrade: h2c",
            b"X: y",
        ),
        forwarded(b"X: y"),
    ),
    "what the message rests on": (
        post(
            b"Connection: Content-Length, Host, Via", b"Content-Length: 5", b"Via: 1.0 a",
            body=b"hello",
        ),
        forwarded(b"Content-Length: 5", b"Via: 1.0 a", body=b"hello"),
    ),
    "user and password": (
        post(line=b"GET http://other.example:pw@TARGET/ HTTP/1.1"),
        forwarded(line=b"GET / HTTP/1.1"),
    ),
    "a fragment": (
        post(line=b"GET http://TARGET/a?b#fragment?/c HTTP/1.1"),
        forwarded(line=b"GET /a?b HTTP/1.1"),
    ),
    "a fragment for a path": (
        post(line=b"GET http://TARGET#@other.example/ HTTP/1.1"),
        forwarded(line=b"GET / HTTP/1.1"),
    ),
    "an upgrade to HTTP/2": (
        post(b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        forwarded(),
    ),
    "an upgrade": (
        post(b"Connection: Upgrade", b"Upgrade: websocket"),
        forwarded(b"Connection: Upgrade\r\nUpgrade: websocket"),
    ),
    "an expectation": (
        post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
        forwarded(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
    ),
    "CRLF in the path": (
        post(line=b"GET http://TARGET/%0d%0aX:%20y HTTP/1.1"),
        forwarded(line=b"GET /%0d%0aX:%20y HTTP/1.1"),
    ),
    "another URL in the path": (
        post(line=b"GET http://TARGET//other.example/@x HTTP/1.1"),
        forwarded(line=b"GET //other.example/@x HTTP/1.1"),
    ),
    "bytes that no URL has": (
        post(line="GET http://TARGET/ü HTTP/1.1".encode()),
        forwarded(line=b"GET /%C3%BC HTTP/1.1"),
    ),
    "HTTP/1.0": (
        post(b"Connection: keep-alive", line=b"GET http://TARGET/ HTTP/1.0"),
        forwarded(line=b"GET / HTTP/1.1").replace(b"Via: 1.1", b"Via: 1.0"),
    ),
    "no host": (
        b"GET http://TARGET/ HTTP/1.1\r\n\r\n",
        forwarded(line=b"GET / HTTP/1.1"),
    ),
    "blanks around an extension, and a size with many zeros": (
        post(CHUNKED, body=b"0" * 30 + b"5 \t; a=b \r\nhello\r\n0 \r\n\r\n"),
        forwarded(CHUNKED, body=BODY),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "expected"), FORWARDED.values(), ids=FORWARDED)
async def test_forwarded_request_is_rebuilt_from_its_parsed_form(request_, expected):
    behave = Target()
    async with direct_bridge() as service, serving(behave) as target:
        expected = placed(expected, target)
        behave.awaited = len(expected)
        received = await answer_to(placed(request_, target), service.address_of("http"), end=b"ok")
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        await eventually(lambda: len(behave.got) == 1)
    (got,) = behave.got
    via = re.compile(rb"(?<=netjumper-bridge-)[0-9a-f]{8}(?=\r)")
    assert via.sub(b"." * 8, got) == expected


BROKEN_BODIES = {
    "no number": b"g\r\n",
    "minus": b"-5\r\nhello\r\n",
    "plus": b"+5\r\nhello\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "space before": b" 5\r\nhello\r\n",
    "empty": b"\r\nhello\r\n",
    "NUL in an extension": b"5;a\0\r\nhello\r\n0\r\n\r\n",
    "bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "17 digits of size": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "bare LF after the last chunk": b"5\r\nhello\r\n0\n\r\n",
    "bare LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "bare LF in trailers": b"5\r\nhello\r\n0\r\nX: y\n\r\n",
    "bare CR in trailers": b"5\r\nhello\r\n0\r\nX: y\rZ: y\r\n\r\n",
    "a folded trailer": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    "no size": b"hello",
    "longer than it says": b"5\r\nhello, you\r\n",
    "shorter than it says": b"5\r\nhell\r\n0\r\n\r\n",
    "bare LF behind the size": b"5\nhello\r\n",
    "bare LF in an extension": b"5;a\nb\r\nhello\r\n",
    "bare LF behind the bytes": b"5\r\nhello\n0\r\n\r\n",
    "two bytes that are no CRLF": b"5\r\nhelloXX0\r\n\r\n",
    "1001 trailers": b"0\r\n" + b"a:b\r\n" * 1001 + b"\r\n",
    "trailer without a colon": b"0\r\nX\r\n\r\n",
    "trailer with a space before its colon": b"0\r\nX : y\r\n\r\n",
}


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
async def test_invalid_body_ends_both_connections(body):
    behave = Target()
    behave.awaited = 1 << 20
    async with direct_bridge() as service, serving(behave) as target:
        received = await answer_to(
            placed(post(CHUNKED, body=body + SECOND), target), service.address_of("http")
        )
        assert received.startswith(b"HTTP/1.1 400 ")
        assert received.count(b"HTTP/1.1 ") == 1
        assert await target.connection_count() <= 1
    for got in behave.got:
        assert b"smuggled" not in got
        assert not got.endswith(b"0\r\n\r\n")
