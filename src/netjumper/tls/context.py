"""Encryption between client and jump server, and whom it trusts: TLS 1.3 and nothing older.

- By the **shared secret** (an external PSK, RFC 8446 sections 2.2 and 4.2.11): each side proves
  that it knows the secret before the other says a word. It needs nothing else but Python 3.13.
- By a **pinned certificate**: the client knows its SHA-256.
- By a **certificate authority**, as for a web site; a server can ask clients for certificates too.

In each of them the handshake of the secret runs inside, as without TLS.
"""

import hashlib
import os
import socket
import ssl
import sys
from asyncio import AbstractEventLoop
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from netjumper.tls.certificates import EncryptionError, load_authority, load_certificate
from netjumper.tls.endpoint import TlsEndpoint
from netjumper.tls.psk import KEY_SIZE, identity_of, psk_of

_NEEDS_313 = (
    "TLS by the secret alone needs Python 3.13 or newer; pin a certificate instead "
    "(`netjumper keygen --tls` makes one)"
)


@dataclass(frozen=True, slots=True)
class Encryption:
    """TLS as one side of a connection has it.

    Attributes:
        context: what we prove and whom we trust.
        server_side: whether we are who is connected to.
        hostname: the name that the server's certificate must have; None where it has none.
        pins: SHA-256 of the certificates of which the server must have one; empty where the context
            trusts somebody.
    """

    context: ssl.SSLContext
    server_side: bool = False
    hostname: str | None = None
    pins: frozenset[bytes] = frozenset()

    def endpoint(self, loop: AbstractEventLoop, sock: socket.socket) -> TlsEndpoint:
        """Return the endpoint that owns a connected, non-blocking socket from here on."""

        def wrap(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
            return self.context.wrap_bio(incoming, outgoing, self.server_side, self.hostname)

        return TlsEndpoint(loop, sock, wrap, self._check)

    def _check(self, tls: ssl.SSLObject) -> None:
        if not self.pins:
            return
        certificate = tls.getpeercert(binary_form=True)
        if certificate is None or pin_of(certificate) not in self.pins:
            raise ssl.SSLCertVerificationError(1, "its certificate is not the pinned one")


class ReloadableTls:
    """Encryption that can be replaced, for the connections that come from then on.

    Args:
        current: what holds now.
    """

    def __init__(self, current: Encryption) -> None:
        self.current = current

    def endpoint(self, loop: AbstractEventLoop, sock: socket.socket) -> TlsEndpoint:
        """Return the endpoint that owns a connected, non-blocking socket from here on."""
        return self.current.endpoint(loop, sock)


def pin_of(certificate: bytes) -> bytes:
    """Return the SHA-256 of a certificate in DER."""
    return hashlib.sha256(certificate).digest()


def client_with_secret(secret: bytes, client: str = "") -> Encryption:
    """Return what a client needs to meet a jump server that knows its secret, and no other.

    Args:
        secret: shared with the server.
        client: its name there, empty where it has none.

    Raises:
        EncryptionError: this Python is too old.
    """
    _require_psk()
    context = tls_13_context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The server must prove the secret. One that does not, and shows a certificate instead, would do
    # with CERT_NONE; so that has to be checked, against nobody who could have issued it.
    context.verify_mode = ssl.CERT_REQUIRED
    identity, key = identity_of(client, secret), psk_of(secret, client)
    _prove_by_psk(context, identity, key)
    return Encryption(context)


def server_with_secrets(secrets: Iterable[tuple[str, bytes]]) -> Encryption:
    """Return what a jump server needs for clients that know a secret.

    Args:
        secrets: each with the client's name, empty where it has none.

    Raises:
        EncryptionError: this Python is too old.
    """
    _require_psk()
    keys = {identity_of(client, it): psk_of(it, client) for client, it in secrets}
    context = tls_13_context(ssl.PROTOCOL_TLS_SERVER)
    _trust_by_psk(context, keys)
    return Encryption(context, server_side=True)


def client_with_pins(pins: Iterable[bytes], certificate: Path | None = None) -> Encryption:
    """Return what a client needs to meet a server with a certificate that it knows.

    Args:
        pins: SHA-256 of it; there may be several, for a time of change.
        certificate: a PEM file with a certificate of our own and its key, for a server that asks.

    Raises:
        EncryptionError: a file cannot be used.
    """
    context = tls_13_context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # `Encryption` compares it before anything is said
    load_certificate(context, certificate)
    return Encryption(context, pins=frozenset(pins))


def client_with_authority(
    hostname: str, authority: Path | None = None, certificate: Path | None = None
) -> Encryption:
    """Return what a client needs to meet a server whose certificate an authority issued.

    Args:
        hostname: the name that must be in the certificate.
        authority: a PEM file with the authority's certificate; None is those of the system.
        certificate: a PEM file with a certificate of our own and its key, for a server that asks.

    Raises:
        EncryptionError: a file cannot be used.
    """
    context = tls_13_context(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        load_authority(context, authority)
    load_certificate(context, certificate)
    return Encryption(context, hostname=hostname)


def server_with_certificate(certificate: Path, clients: Path | None = None) -> Encryption:
    """Return what a jump server needs that shows a certificate.

    Args:
        certificate: a PEM file with the certificate and its key.
        clients: a PEM file with the certificate of the authority that clients must have one of;
            None asks for none.

    Raises:
        EncryptionError: a file cannot be used.
    """
    context = tls_13_context(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, certificate)
    if clients is not None:
        load_authority(context, clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return Encryption(context, server_side=True)


def default_context() -> ssl.SSLContext:
    """Return a context for a client of any server on the internet, as Python recommends it.

    The system's authorities are trusted; an end without `close_notify` is an error, as it is for
    `tls_13_context`.
    """
    return _detect_truncation(ssl.create_default_context())


def tls_13_context(protocol: int) -> ssl.SSLContext:
    """Return a context for TLS 1.3 and nothing older, which trusts and proves nothing yet.

    Args:
        protocol: `ssl.PROTOCOL_TLS_CLIENT` or `ssl.PROTOCOL_TLS_SERVER`.
    """
    context = _detect_truncation(ssl.SSLContext(protocol))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0  # nothing is resumed: a surprise on a parked connection
    return context


def _detect_truncation(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make an end of stream without `close_notify` an error (RFC 8446 section 6.1).

    Python 3.11.0 to 3.11.3 set the option by default (gh-95494), and Debian 12 has such a Python:
    a FIN from anywhere on the path would look like a complete transfer.
    """
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # absent before OpenSSL 3
    return context


def _require_psk() -> None:
    """Say that it cannot be had, before its keys are made at great cost."""
    if sys.version_info < (3, 13):
        raise EncryptionError(_NEEDS_313)


def _prove_by_psk(context: ssl.SSLContext, identity: str, key: bytes) -> None:
    if sys.version_info >= (3, 13):  # or `_require_psk` has raised
        context.set_psk_client_callback(lambda _hint: (identity, key))


def _trust_by_psk(context: ssl.SSLContext, keys: Mapping[str, bytes]) -> None:
    # A key that nobody has tells who offers a wrong one from who offers none, and it tells nobody
    # whether a name is known.
    unknown = os.urandom(KEY_SIZE)
    if sys.version_info >= (3, 13):
        context.set_psk_server_callback(lambda identity: keys.get(identity or "", unknown))
