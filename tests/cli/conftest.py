"""Fixtures for the tests of the commands."""

import ssl
from pathlib import Path

import pytest
import trustme

from netjumper.tls.context import pin_of
from tests.support.programs import SECRET


@pytest.fixture
def certificates(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return the directory with certificates of a server and a client, and of their CA."""
    for name, owner in {"server": "127.0.0.1", "client": "alice"}.items():
        issued = authority.issue_cert(owner)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
        (tmp_path / f"{name}.pem").chmod(0o600)
        der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
        (tmp_path / f"{name}.pin").write_text(pin_of(der).hex())
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return tmp_path


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
