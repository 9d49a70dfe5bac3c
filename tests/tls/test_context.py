"""What TLS trusts: the secret, a pin, an authority. Any other peer gets no data."""

import datetime as dt
import os
import ssl
import sys
from pathlib import Path

import pytest
import trustme

from netjumper.client.failures import trust_error
from netjumper.tls.certificates import EncryptionError
from netjumper.tls.context import (
    Encryption,
    client_with_authority,
    client_with_pins,
    client_with_secret,
    pin_of,
    server_with_certificate,
    server_with_secrets,
)
from netjumper.tls.errors import failure_of, is_wrong_key
from netjumper.tls.psk import identity_of
from tests.support.tls_pair import encrypt_key, exchange

HOST = "jump.example"
KEY = "1f" * 32
OTHER = "2e" * 32
by_secret = pytest.mark.skipif(sys.version_info < (3, 13), reason="Python has it since 3.13")


async def refused(client: Encryption, server: Encryption) -> str:
    """Return what the client says of it, after neither has got a byte."""
    at_client, at_server = await exchange(client, server)
    assert isinstance(at_client, OSError)
    assert isinstance(at_server, OSError)
    return str(at_client)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Path:
    return written(authority.issue_cert(HOST), tmp_path / "server.pem")


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return path


def written(issued: trustme.LeafCert, path: Path) -> Path:
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    return path


def pin(path: Path) -> bytes:
    text = path.read_text()
    begin = text.index("-----BEGIN CERTIFICATE-----")
    end = text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
    return pin_of(ssl.PEM_cert_to_DER_cert(text[begin:end]))


# --- the secret ---------------------------------------------------------------------------


@by_secret
@pytest.mark.parametrize("secret", [b"correct horse battery staple", KEY.encode()])
@pytest.mark.parametrize("client", ["", "alice"])
async def test_shared_secret_is_enough(secret, client):
    server = server_with_secrets([("bob", b"another"), (client, secret)])
    assert await exchange(client_with_secret(secret, client), server) == (b"challenge", b"answer")


@by_secret
async def test_client_can_have_two_secrets():
    server = server_with_secrets([("alice", KEY.encode()), ("alice", OTHER.encode())])
    for secret in (KEY, OTHER):
        client = client_with_secret(secret.encode(), "alice")
        assert await exchange(client, server) == (b"challenge", b"answer")


@by_secret
async def test_other_secret_gets_no_data():
    server = server_with_secrets([("", KEY.encode())])
    assert await refused(client_with_secret(OTHER.encode()), server)
    assert await refused(client_with_secret(KEY.encode(), "alice"), server)


@by_secret
async def test_man_in_the_middle_with_a_certificate_gets_no_data(certificate):
    message = await refused(client_with_secret(KEY.encode()), server_with_certificate(certificate))
    assert "certificate verify failed" in message


@by_secret
async def test_client_name_without_the_secret_gets_no_data():
    false = server_with_secrets([])
    context = false.context
    identity = identity_of("", KEY.encode())
    context.set_psk_server_callback(lambda it: b"x" * 32 if it == identity else b"")
    assert await refused(client_with_secret(KEY.encode()), false)


@by_secret
async def test_client_that_expects_a_certificate_rejects_a_server_without(certificate):
    server = server_with_secrets([("", KEY.encode())])
    at_client, at_server = await exchange(client_with_pins([pin(certificate)]), server)
    assert isinstance(at_client, ssl.SSLError)
    assert str(trust_error(at_client)) == "TLS failed: it has no certificate"
    assert isinstance(at_server, ssl.SSLError)
    assert failure_of(at_server) == "no key was offered"
    assert not is_wrong_key(at_server)


@by_secret
async def test_rejected_key_names_what_to_check():
    server = server_with_secrets([("", KEY.encode())])
    at_client, at_server = await exchange(client_with_secret(OTHER.encode()), server)
    assert isinstance(at_client, ssl.SSLError)
    message = "key rejected; check the secret and the client name"
    assert str(trust_error(at_client)).endswith(message)
    assert isinstance(at_server, ssl.SSLError)
    assert failure_of(at_server) == "the offered key is unknown"
    assert is_wrong_key(at_server)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="it is there")
def test_old_python_suggests_a_pinned_certificate():
    for make in (client_with_secret, lambda it: server_with_secrets([("", it)])):
        with pytest.raises(EncryptionError, match=r"3\.13 or newer; pin a certificate instead"):
            make(KEY.encode())


# --- certificates -------------------------------------------------------------------------


async def test_pinned_certificate_is_trusted(certificate):
    client = client_with_pins([b"x" * 32, pin(certificate)])
    assert await exchange(client, server_with_certificate(certificate)) == (b"challenge", b"answer")


async def test_other_certificate_than_the_pinned_one_is_rejected(certificate, authority, tmp_path):
    other = written(authority.issue_cert(HOST), tmp_path / "other.pem")
    ours, theirs = await exchange(
        client_with_pins([pin(other)]), server_with_certificate(certificate)
    )
    its = pin(certificate).hex()
    assert str(ours) == f"its certificate is not the pinned one; its pin is {its}"
    assert isinstance(theirs, OSError)


async def test_certificate_of_a_trusted_authority_is_trusted(certificate, trusted):
    client = client_with_authority(HOST, trusted)
    assert await exchange(client, server_with_certificate(certificate)) == (b"challenge", b"answer")


async def test_certificate_for_another_name_is_rejected(certificate, trusted):
    client = client_with_authority("other.example", trusted)
    message = await refused(client, server_with_certificate(certificate))
    assert "Hostname mismatch" in message


async def test_expired_certificate_is_rejected(authority, trusted, tmp_path):
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    old = written(authority.issue_cert(HOST, not_after=yesterday), tmp_path / "old.pem")
    message = await refused(client_with_authority(HOST, trusted), server_with_certificate(old))
    assert "certificate has expired" in message


async def test_certificate_of_an_unknown_authority_is_rejected(certificate):
    message = await refused(client_with_authority(HOST), server_with_certificate(certificate))
    assert "certificate verify failed" in message


async def test_server_can_require_a_client_certificate(certificate, trusted, authority, tmp_path):
    server = server_with_certificate(certificate, clients=trusted)
    own = written(authority.issue_cert("alice"), tmp_path / "alice.pem")
    client = client_with_authority(HOST, trusted, own)
    assert await exchange(client, server) == (b"challenge", b"answer")


async def test_client_without_a_required_certificate_gets_no_data(certificate, trusted):
    server = server_with_certificate(certificate, clients=trusted)
    at_client, at_server = await exchange(client_with_authority(HOST, trusted), server)
    assert isinstance(at_client, OSError)
    assert "peer did not return a certificate" in str(at_server)


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2])
async def test_older_tls_versions_are_refused(certificate, most):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = most
    assert "protocol version" in await refused(
        Encryption(old), server_with_certificate(certificate)
    )
    young = server_with_certificate(certificate)
    young.context.minimum_version = ssl.TLSVersion.TLSv1_2
    young.context.maximum_version = most
    assert "protocol" in await refused(client_with_pins([pin(certificate)]), young)


def test_unusable_certificate_file_is_an_error(tmp_path, certificate):
    missing, garbage = tmp_path / "missing.pem", tmp_path / "garbage.pem"
    garbage.write_text("nothing")
    an_authority = "expected a certificate in PEM"
    our_own = "expected a certificate in PEM, followed by its key"
    for expected, make in (
        (an_authority, lambda path: client_with_authority(HOST, path)),
        (our_own, lambda path: client_with_authority(HOST, None, path)),
        (our_own, server_with_certificate),
        (an_authority, lambda path: server_with_certificate(certificate, path)),
    ):
        with pytest.raises(EncryptionError) as caught:
            make(missing)
        assert str(caught.value) == f"{missing}: No such file or directory"
        with pytest.raises(EncryptionError) as caught:
            make(garbage)
        assert str(caught.value) == f"{garbage}: {expected}"


def refusal(path: Path) -> str:
    with pytest.raises(EncryptionError) as caught:
        server_with_certificate(path)
    return str(caught.value)


def test_encrypted_key_is_an_error_without_a_password_prompt(certificate):
    encrypt_key(certificate)
    assert refusal(certificate) == (
        f"{certificate}: the key is encrypted, and there is no way to enter the password; "
        f"`openssl pkey -in {certificate}` prints the key unencrypted"
    )


@pytest.mark.parametrize("kind", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
def test_key_of_another_certificate_is_an_error(authority, certificate, kind):
    other = authority.issue_cert(HOST, key_type=kind).private_key_pem.bytes()
    _, begin, rest = certificate.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
    certificate.write_bytes(other + begin + rest)
    why = "the certificate and the key do not belong together"
    assert refusal(certificate) == f"{certificate}: {why}"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such pipes")
def test_certificate_in_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    why = "a pipe cannot be read twice; expected a file"
    assert refusal(tmp_path / "fifo") == f"{tmp_path / 'fifo'}: {why}"
    with pytest.raises(EncryptionError, match="no program writes into this pipe"):
        client_with_authority(HOST, tmp_path / "fifo")
