"""Requests to a bridge by SOCKS4a, SOCKS5 and HTTP, and their replies."""

import socket

from netjumper.addressing.address import Address
from netjumper.sessions.service import Service
from tests.support.peers import (
    connected,
    send,
)

TARGET = Address("target.example", 443)
GRANTED5 = b"\5\0\0\1\0\0\0\0\0\0"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def socks5_request(target: Address) -> bytes:
    host = target.host.encode()
    return b"\5\1\0" + b"\5\1\0\3" + bytes((len(host),)) + host + target.port.to_bytes(2)


def socks4a_request(target: Address) -> bytes:
    return b"\4\1" + target.port.to_bytes(2) + b"\0\0\0\1me\0" + target.host.encode() + b"\0"


def http_request(target: Address) -> bytes:
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()


async def send_request(service: Service, listener: str, request: bytes) -> socket.socket:
    sock = await connected(service.address_of(listener))
    await send(sock, request)
    return sock
