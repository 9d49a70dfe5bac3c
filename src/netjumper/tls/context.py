"""Encryption between client and jump server: TLS 1.3 and nothing older.

- By the **shared secret** (an external PSK, RFC 8446 sections 2.2 and 4.2.11): each side proves
  that it knows the secret before the other sends anything. It needs Python 3.13 only.
- By a **pinned certificate**: the client knows its SHA-256.
- By a **certificate authority**, as for a web site; a server can ask clients for certificates too.

In each case the handshake with the secret runs inside, as without TLS.
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
    """How one side of a connection uses TLS.

    Attributes:
        context: what this side proves and trusts.
        server_side: this side accepted the connection.
        hostname: the name that the server's certificate must have; None if it has none.
        pins: SHA-256 of the certificates of which the server must have one; empty if the context
            decides whom to trust.
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
        pin = pin_of(tls.getpeercert(binary_form=True) or b"")
        if pin not in self.pins:
            reason = f"its certificate is not the pinned one; its pin is {pin.hex()}"
            raise ssl.SSLCertVerificationError(1, reason)


class ReloadableTls:
    """Encryption that can be replaced; connections accepted later use the new one.

    Args:
        current: the encryption in use.
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
    """Return the encryption of a client that trusts only servers that know its secret.

    Args:
        secret: shared with the server.
        client: its name there; empty if it has none.

    Raises:
        EncryptionError: this Python is too old.
    """
    _require_psk()
    context = tls_13_context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The server must prove the secret. With CERT_NONE, a server that shows a certificate instead
    # would be accepted. So its certificate is verified, and no authority is trusted.
    context.verify_mode = ssl.CERT_REQUIRED
    identity, key = identity_of(client, secret), psk_of(secret, client)
    _prove_by_psk(context, identity, key)
    return Encryption(context)


def server_with_secrets(secrets: Iterable[tuple[str, bytes]]) -> Encryption:
    """Return the encryption of a jump server whose clients know a secret.

    Args:
        secrets: each with the client's name; empty if it has none.

    Raises:
        EncryptionError: this Python is too old.
    """
    _require_psk()
    keys = {identity_of(client, it): psk_of(it, client) for client, it in secrets}
    context = tls_13_context(ssl.PROTOCOL_TLS_SERVER)
    _trust_by_psk(context, keys)
    return Encryption(context, server_side=True)


def client_with_pins(
    pins: Iterable[bytes], certificate: Path | None = None, key: Path | None = None
) -> Encryption:
    """Return the encryption of a client that knows the server's certificate.

    Args:
        pins: SHA-256 of it; several are possible, for the time of a change.
        certificate: a PEM file with the client's own certificate, for a server that requests one.
        key: a PEM file with its key; None is the same file.

    Raises:
        EncryptionError: a file cannot be used.
    """
    context = tls_13_context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # `Encryption` compares it before anything is sent
    load_certificate(context, certificate, key)
    return Encryption(context, pins=frozenset(pins))


def client_with_authority(
    hostname: str,
    authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Encryption:
    """Return the encryption of a client that trusts a certificate authority.

    Args:
        hostname: the name that must be in the certificate.
        authority: a PEM file with the authority's certificate; None trusts those of the system.
        certificate: a PEM file with the client's own certificate, for a server that requests one.
        key: a PEM file with its key; None is the same file.

    Raises:
        EncryptionError: a file cannot be used.
    """
    context = tls_13_context(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        load_authority(context, authority)
    load_certificate(context, certificate, key)
    return Encryption(context, hostname=hostname)


def server_with_certificate(
    certificate: Path, clients: Path | None = None, key: Path | None = None
) -> Encryption:
    """Return the encryption of a jump server with a certificate.

    Args:
        certificate: a PEM file with the certificate.
        clients: a PEM file with the certificate of the authority that must have issued each
            client's certificate; None requests no certificates.
        key: a PEM file with the certificate's key; None is the same file.

    Raises:
        EncryptionError: a file cannot be used.
    """
    context = tls_13_context(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, certificate, key)
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
    """Return a context for TLS 1.3 and nothing older, without certificates and keys.

    Args:
        protocol: `ssl.PROTOCOL_TLS_CLIENT` or `ssl.PROTOCOL_TLS_SERVER`.
    """
    context = _detect_truncation(ssl.SSLContext(protocol))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = (
            0  # nothing is resumed, and a ticket would arrive on a parked connection
        )
    return context


def _detect_truncation(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make an end of stream without `close_notify` an error (RFC 8446 section 6.1).

    Python 3.11.0 to 3.11.3 set the option by default (gh-95494), and Debian 12 has such a Python:
    a FIN from anywhere on the path would look like a complete transfer.
    """
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # absent before OpenSSL 3
    return context


def _require_psk() -> None:
    """Check that this Python supports PSK, before a key is derived, which takes a while."""
    if sys.version_info < (3, 13):
        raise EncryptionError(_NEEDS_313)


def _prove_by_psk(context: ssl.SSLContext, identity: str, key: bytes) -> None:
    if sys.version_info >= (3, 13):  # or `_require_psk` has raised
        context.set_psk_client_callback(lambda _hint: (identity, key))


def _trust_by_psk(context: ssl.SSLContext, keys: Mapping[str, bytes]) -> None:
    # A random key for an unknown name: the client fails as with a wrong key, and does not learn
    # whether the name is known.
    unknown = os.urandom(KEY_SIZE)
    if sys.version_info >= (3, 13):
        context.set_psk_server_callback(lambda identity: keys.get(identity or "", unknown))
