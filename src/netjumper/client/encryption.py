"""TLS to a jump host, as its URL requires it."""

from pathlib import Path

from netjumper.addressing.jump_url import JumpUrl
from netjumper.tls.certificates import EncryptionError
from netjumper.tls.context import (
    Encryption,
    client_with_authority,
    client_with_pins,
    client_with_secret,
)


def client_for(
    url: JumpUrl,
    secret: bytes,
    authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Encryption | None:
    """Return the encryption for a jump host; None if its URL has no TLS.

    Args:
        url: the jump host.
        secret: shared with it.
        authority: the file with the certificate of the authority that issued the server's. If it is
            None and the URL has neither pin nor ca, TLS works by the secret.
        certificate: a PEM file with the client's own certificate, for a server that requests one.
        key: a PEM file with its key; None is the same file.

    Raises:
        EncryptionError: a file cannot be used, or this Python is too old.
    """
    if not url.tls:
        return None
    if url.pins:
        return client_with_pins(url.pins, certificate, key)
    if url.system_ca or authority is not None:
        trusted = None if url.system_ca else authority
        return client_with_authority(url.name or url.address.host, trusted, certificate, key)
    if url.name:
        raise EncryptionError("name is compared with a certificate; give ca=system or ca_file too")
    return client_with_secret(secret, url.client)
