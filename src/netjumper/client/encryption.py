"""TLS to a jump host, as its URL asks for it, and what a failure of it means."""

import ssl
from pathlib import Path

from netjumper.addressing.jump_url import JumpUrl
from netjumper.errors import JumpHostUntrusted, WrongSecret
from netjumper.tls.certificates import EncryptionError
from netjumper.tls.context import (
    Encryption,
    client_with_authority,
    client_with_pins,
    client_with_secret,
)
from netjumper.tls.errors import failure_of, is_cut, is_key_refused, is_no_tls, refusal_of


def client_for(
    url: JumpUrl,
    secret: bytes,
    authority: Path | None = None,
    certificate: Path | None = None,
) -> Encryption | None:
    """Return what a jump host is met with; None where that is in the clear.

    Args:
        url: the jump host.
        secret: shared with it.
        authority: the file with the certificate of who issued its own; None, and nothing else in
            the URL, is by the secret.
        certificate: a PEM file with a certificate of our own and its key, for a server that asks.

    Raises:
        EncryptionError: a file cannot be used, or this Python is too old.
    """
    if not url.tls:
        return None
    if url.pins:
        return client_with_pins(url.pins, certificate)
    if url.system_ca or authority is not None:
        trusted = None if url.system_ca else authority
        return client_with_authority(url.name or url.address.host, trusted, certificate)
    if url.name:
        raise EncryptionError("name is compared with a certificate; give ca=system or ca_file too")
    return client_with_secret(secret, url.client)


def trust_error(error: ssl.SSLError) -> JumpHostUntrusted | WrongSecret:
    """Return what a failure of TLS means for a client."""
    told: JumpHostUntrusted | WrongSecret
    if is_key_refused(error):
        told = WrongSecret("our key is not known there; check the secret, and the client's name")
    else:
        told = JumpHostUntrusted(_why_not_trusted(error))
    told.__cause__ = error
    return told


def _why_not_trusted(error: ssl.SSLError) -> str:
    if is_cut(error):
        return "it ended TLS in the middle"
    if is_no_tls(error):
        return "it does not speak TLS there"
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", error.strerror)  # ours have none
        return f"it is not who it should be: {why}"
    if told := refusal_of(error):
        return told
    return f"TLS failed: {failure_of(error)}"
