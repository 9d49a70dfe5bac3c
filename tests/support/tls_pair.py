"""Both ends of a TLS connection."""

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization

from netjumper.addressing.address import Address
from netjumper.net.endpoint import Endpoint
from netjumper.tls.context import (
    Encryption,
    client_with_authority,
    server_with_certificate,
    tls_13_context,
)
from netjumper.tls.endpoint import TlsEndpoint
from tests.support.peers import no_descriptor_leaks, tcp_pair
from tests.support.services import LOOPBACK, jump_server_running

HOST = "jump.example"


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the context of a client, and of a server that it trusts."""
    trusting = tls_13_context(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(trusting)
    serving = tls_13_context(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(HOST).configure_cert(serving)
    return trusting, serving


async def tls_pair(ours: socket.socket, theirs: socket.socket) -> tuple[TlsEndpoint, TlsEndpoint]:
    """Return the ends of client and server after their handshake."""
    client, server = new_tls_pair(ours, theirs)
    done = asyncio.Event()

    def check_established() -> None:
        assert client.recv(1) is None
        assert server.recv(1) is None
        if client.is_established and server.is_established:
            done.set()

    for end in (client, server):
        end.start_reading(check_established)
    await done.wait()
    for end in (client, server):
        end.stop_reading()
    return client, server


def new_tls_pair(ours: socket.socket, theirs: socket.socket) -> tuple[TlsEndpoint, TlsEndpoint]:
    """Return the ends of client and server before their handshake."""
    loop = asyncio.get_running_loop()
    trusting, serving = contexts()
    client = TlsEndpoint(
        loop, ours, lambda *buffers: trusting.wrap_bio(*buffers, server_hostname=HOST), any_peer
    )
    server = TlsEndpoint(
        loop, theirs, lambda *buffers: serving.wrap_bio(*buffers, server_side=True), any_peer
    )
    return client, server


class Reader:
    """Collects the data that an endpoint receives, and the error that ends it."""

    def __init__(self, endpoint: Endpoint, max_bytes: int = 65536) -> None:
        self.data = b""
        self.error: OSError | None = None
        self._endpoint, self._max_bytes = endpoint, max_bytes
        self.over = asyncio.Event()
        endpoint.start_reading(self._read)

    def _read(self) -> None:
        try:
            data = self._endpoint.recv(self._max_bytes)
        except OSError as error:
            self.error = error
            data = b""
        if data == b"":
            self._endpoint.stop_reading()
            self.over.set()
        elif data:
            self.data += data


def any_peer(_: ssl.SSLObject) -> None:
    """Accept any peer."""


Sides = tuple[Encryption, Encryption]


@functools.cache
def sides_of(directory: Path) -> Sides:
    """Return the TLS settings of a client, and of a server that it trusts."""
    certificate, trusted = directory / "own.pem", directory / "authority.pem"
    authority().issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(certificate)
    authority().cert_pem.write_to_path(trusted)
    return client_with_authority(HOST, trusted), server_with_certificate(certificate)


@contextlib.asynccontextmanager
async def tls_jump_server(sides: Sides, **options: Any) -> AsyncIterator[Address]:
    """Run a jump server with TLS; yield its address."""
    options = {"listen": [], "listen_tls": [LOOPBACK], "encryption": sides[1]} | options
    async with jump_server_running(**options) as (_, address):
        yield address


def encrypt_key(path: Path) -> None:
    """Encrypt the key of a PEM file with a password; the certificate must follow the key."""
    key, end, rest = path.read_text().partition("-----BEGIN CERTIFICATE-----")
    password = serialization.BestAvailableEncryption(b"password")
    loaded = serialization.load_pem_private_key(key.encode(), None)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_text(loaded.private_bytes(*form, password).decode() + end + rest)


class _Exchange:
    """A connection on which each side sends one message."""

    def __init__(self, client: Encryption, server: Encryption) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = tcp_pair()
        self.client, self.server = client.endpoint(loop, ours), server.endpoint(loop, theirs)
        self.received: dict[TlsEndpoint, bytes | OSError] = {}
        self.over = asyncio.Event()
        self.client.send(b"answer")
        self.server.send(b"challenge")
        for end in (self.client, self.server):
            end.start_reading(self._reader(end))

    def _reader(self, end: TlsEndpoint) -> Callable[[], None]:
        def read() -> None:
            try:
                data = end.recv(100)
            except OSError as error:
                self.received[end] = error
            else:
                if data is None:
                    return
                self.received[end] = data
            end.stop_reading()
            if isinstance(self.received[end], OSError):
                end.close()
            if len(self.received) == 2:
                self.over.set()

        return read


async def exchange(
    client: Encryption, server: Encryption
) -> tuple[bytes | OSError, bytes | OSError]:
    """Connect client and server; return the data or the error that each of them receives."""
    async with no_descriptor_leaks():
        it = _Exchange(client, server)
        await it.over.wait()
        it.client.close()
        it.server.close()
        return it.received[it.client], it.received[it.server]
