"""The TLS key that client and server derive from their secret, and its identity."""

import functools
import hashlib
import hmac
import re

_UNNAMED_CLIENT = "netjumper"
"""Stands in a key's identity if clients have no names."""
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**17, 8, 1
"""RFC 7914 section 2: 128 MiB, and some tenths of a second, for each guess at a secret."""
_SCRYPT_MEMORY = 2 * 128 * SCRYPT_N * SCRYPT_R
KEY_SIZE = 32
_LABEL = b"netjumper tls 1.3 psk\0"
_MADE_BY_KEYGEN = re.compile(rb"[0-9a-f]{64}")


@functools.lru_cache(maxsize=4096)
def psk_of(secret: bytes, client: str) -> bytes:
    """Return the key that client and server derive from their secret.

    A secret from `netjumper keygen` has 256 bits that cannot be guessed, so HKDF (RFC 5869) is
    enough. For any other secret, scrypt (RFC 7914) makes guesses costly for an attacker that has
    recorded a handshake.

    Args:
        secret: shared by both.
        client: the client's name; empty if it has none.
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
    """Return the identity of a client's key: the client's name, and which of its secrets it is.

    So a client can have several secrets at a time. An attacker can check guesses of the secret
    against the identity, as against the rest of the handshake, and at the same cost.
    """
    return f"{client or _UNNAMED_CLIENT}.{hashlib.sha256(psk_of(secret, client)).hexdigest()[:8]}"
