"""Response smuggling: answers are rebuilt, and never answer another request."""

import asyncio
import re
import socket

import pytest

from tests.support.direct_bridge import direct_bridge
from tests.support.peers import connected, eventually, receive, receive_to_end, send, serving

SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"
SECOND = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecond"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def request(target: object, method: str) -> bytes:
    return f"{method} http://{target}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()


class Target:
    """A target that sends given bytes on the first connection, and `SECOND` on any other."""

    def __init__(self, sent: bytes, later: bytes = b"") -> None:
        self.sent = sent
        self.later = later
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()
        self.heads = 0

    async def __call__(self, sock: socket.socket) -> None:
        first = self.heads == 0
        await receive(sock)
        self.heads += 1
        await send(sock, self.sent if first else SECOND)
        if first and self.later:
            await self.go_on.wait()
            await send(sock, self.later)
        if first:
            await receive_to_end(sock)
            self.ended.set()


async def received(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end) and (more := await receive(sock)):
        data += more
    return data


AMBIGUOUS = {
    "a 204 with a body": ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 59\r\n\r\n"),
    "a 304 with a body": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 59\r\n\r\n"),
    "a HEAD with a body": ("HEAD", OK + b"Content-Length: 59\r\n\r\n"),
    "more than its length": ("GET", OK + b"Content-Length: 2\r\n\r\nok"),
    "length and chunks": ("GET", OK + b"Content-Length: 64\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    "more than its chunks": ("GET", OK + CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("cut", [len(SMUGGLED), 17], ids=["whole", "begun"])
@pytest.mark.parametrize(("method", "sent"), AMBIGUOUS.values(), ids=AMBIGUOUS)
@pytest.mark.parametrize("pipelined", [False, True])
async def test_bytes_after_an_answer_answer_no_request(pipelined, method, sent, cut):
    behave = Target(sent + SMUGGLED[:cut])
    async with direct_bridge() as service, serving(behave) as target:
        one, other = request(target, method), request(target, "GET")
        with await connected(service.address_of("http")) as sock:
            await send(sock, one + other if pipelined else one)
            if not pipelined:
                await behave.ended.wait()  # the bridge closes it at once
                await send(sock, other)
            got = await received(sock, b"second")
    assert b"smuggled" not in got
    assert got.count(b"HTTP/1.1 ") == 2
    assert target.accepted == 2


async def test_bytes_between_two_requests_answer_no_request():
    behave = Target(OK + b"Content-Length: 2\r\n\r\nok", later=SMUGGLED[:20])
    async with direct_bridge() as service, serving(behave) as target:
        with await connected(service.address_of("http")) as sock:
            await send(sock, request(target, "GET"))
            await received(sock, b"ok")
            behave.go_on.set()
            await behave.ended.wait()
            await send(sock, request(target, "GET"))
            assert (await received(sock, b"second")).endswith(b"second")


BROKEN = {
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 0\r\n\r\nok",
    "a length with a plus": OK + b"Content-Length: +2\r\n\r\nok",
    "a length with a minus": OK + b"Content-Length: -2\r\n\r\nok",
    "xchunked": OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding in a bad name": OK + b"Transfer-Encoding\xff: chunked\r\n\r\n0\r\n\r\n",
    "1001 fields": OK + b"X:\r\n" * 1001 + b"\r\n",
    "a head over 128 KiB": OK + b"X: " + b"x" * (128 << 10) + b"\r\n\r\n",
    "a space before a colon": OK + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a bare CR": OK + b"X: y\rSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
    "a NUL": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in the reason": b"HTTP/1.1 200 O\rX: y\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "no HTTP at all": b"220 smtp.example ESMTP\r\n\r\n",
    "an unrequested 101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN)
async def test_ambiguous_answer_is_a_502(sent):
    async with direct_bridge() as service, serving(Target(sent + SMUGGLED)) as target:
        with await connected(service.address_of("http")) as sock:
            await send(sock, request(target, "GET"))
            got = await receive_to_end(sock)
    assert got.startswith(b"HTTP/1.1 502 ")
    assert got.count(b"HTTP/1.1 ") == 1
    assert b"Set-Cookie" not in got


REBUILT = {
    "bare LF": (b"HTTP/1.1 200 OK\nX: y\nContent-Length: 2\n\nok", b"X: y\r\nContent-Length: 2"),
    "folded": (OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok", b"X: a b\r\nContent-Length: 2"),
    "one length twice": (OK + b"Content-Length: 2, 2\r\n\r\nok", b"Content-Length: 2"),
    "between two hops": (
        OK + b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\nContent-Length: 2\r\n\r\nok",
        b"Content-Length: 2",
    ),
    "what the message rests on": (
        OK + b"Connection: content-length\r\nContent-Length: 2\r\n\r\nok",
        b"Content-Length: 2",
    ),
}


@pytest.mark.parametrize(("sent", "fields"), REBUILT.values(), ids=REBUILT)
async def test_forwarded_answer_is_rebuilt_from_its_parsed_form(sent, fields):
    async with direct_bridge() as service, serving(Target(sent)) as target:
        with await connected(service.address_of("http")) as sock:
            await send(sock, request(target, "GET"))
            got = await received(sock, b"ok")
    via = re.compile(rb"(?<=netjumper-bridge-)[0-9a-f]{8}(?=\r)")
    assert via.sub(b"", got) == OK + fields + b"\r\nVia: 1.1 netjumper-bridge-\r\n\r\nok"


async def test_trailers_named_by_connection_are_dropped():
    sent = OK + b"Connection: X-Hop\r\n" + CHUNKED + b"\r\n2\r\nok\r\n0\r\nX-Hop: 1\r\nX: y\r\n\r\n"
    async with direct_bridge() as service, serving(Target(sent)) as target:
        with await connected(service.address_of("http")) as sock:
            await send(sock, request(target, "GET"))
            got = await received(sock, b"0\r\nX: y\r\n\r\n")
    assert b"X-Hop" not in got


async def test_endless_informational_answers_are_not_buffered():
    """A target may send any number of 1xx answers before the final one."""
    sent = b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 1000 + SECOND
    async with direct_bridge() as service, serving(Target(sent)) as target:
        with await connected(service.address_of("http")) as sock:
            await send(sock, request(target, "GET"))
            got = await received(sock, b"second")
        await eventually(lambda: target.accepted == 1)
    assert got.count(b"HTTP/1.1 103 ") == 1000
