"""The key of TLS that client and server derive from their secret, and what it is called."""

import functools
import hashlib
import hmac
import re

_NOBODY = "netjumper"
"""In a key's identity, where clients have no names."""
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**17, 8, 1
"""RFC 7914 section 2: 128 MiB, and some tenths of a second, for each guess at a secret."""
_SCRYPT_MEMORY = 2 * 128 * SCRYPT_N * SCRYPT_R
KEY_SIZE = 32
_LABEL = b"netjumper tls 1.3 psk\0"
_MADE_BY_KEYGEN = re.compile(rb"[0-9a-f]{64}")


@functools.lru_cache(maxsize=4096)
def psk_of(secret: bytes, client: str) -> bytes:
    """Return the key that client and server derive from their secret.

    What `netjumper keygen` made has 256 bits that nobody can guess, so HKDF (RFC 5869) will do; any
    other secret is made costly to guess with scrypt (RFC 7914), for who has recorded a handshake.

    Args:
        secret: shared by both.
        client: its name, empty where it has none.
    """
    salt = _LABEL + client.encode()
    if _MADE_BY_KEYGEN.fullmatch(secret):
        extracted = hmac.digest(salt, secret, "sha256")
        return hmac.digest(extracted, _LABEL + b"\1", "sha256")
    return hashlib.scrypt(
        secret, salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P,
        maxmem=_SCRYPT_MEMORY, dklen=KEY_SIZE,
    )  # fmt: skip


def identity_of(client: str, secret: bytes) -> str:
    """Return what a client calls its key: its name, and which of its secrets it is.

    That makes several secrets of a client possible at a time. Who sees it can check a guess at the
    secret with it, as with the handshake that it is a part of, and at the same cost.
    """
    return f"{client or _NOBODY}.{hashlib.sha256(psk_of(secret, client)).hexdigest()[:8]}"
