"""The key that both sides derive from their secret."""

import hashlib

from netjumper.tls.psk import identity_of, psk_of

KEY = "1f" * 32
OTHER = "2e" * 32
HKDF_OF_KEY = "0e2ccee9255548289a25f06ccc5e5d4fe3d8c0977e42f3b60235596b46299e7f"
SCRYPT_OF_TEXT = "07570ecb510ea6d577ae891a5b274b824397393b755e0f6ba4bb77d87af7f87d"


def test_guessable_secret_is_stretched_with_scrypt(monkeypatch):
    asked = []

    def scrypt(secret: bytes, **how: object) -> bytes:
        asked.append((secret, how))
        return b"k" * 32

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    psk_of.cache_clear()
    assert psk_of(b"correct horse", "alice") == b"k" * 32
    assert psk_of(b"correct horse", "alice") == b"k" * 32
    ((secret, how),) = asked
    assert secret == b"correct horse"
    assert (how["n"], how["r"], how["p"], how["dklen"]) == (2**17, 8, 1, 32)
    assert how["salt"] == b"netjumper tls 1.3 psk\0alice"
    psk_of.cache_clear()


def test_key_depends_on_secret_and_client():
    keys = {psk_of(it.encode(), name) for it in (KEY, OTHER) for name in ("", "alice", "bob")}
    assert len(keys) == 6
    assert {len(it) for it in keys} == {32}


def test_key_derivation_stays_the_same():
    """Both sides have to come to the same key, also with another version of netjumper."""
    assert psk_of(KEY.encode(), "alice").hex() == HKDF_OF_KEY
    assert psk_of(b"correct horse battery staple", "alice").hex() == SCRYPT_OF_TEXT
    assert identity_of("", KEY.encode()).startswith("netjumper.")
