"""A jump server that asks for certificates: each side says what was wrong with one."""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from netjumper.cli import bridge
from tests.support.programs import SECRET, Program, running

HOST = "127.0.0.1"
ENV = {"NETJUMPER_SECRET": SECRET}
YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)

WRONG = {
    "none": (
        "peer did not return a certificate",
        "it requires a client certificate (certificate_file)",
    ),
    "expired": (
        "certificate verify failed: certificate has expired",
        "our certificate has expired",
    ),
    "foreign": (
        "certificate verify failed: unable to get local issuer certificate",
        "it does not know the authority of our certificate",
    ),
}
"""What the server says of a client's certificate, and what the client is told."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with a server's certificate, clients', and the authority's."""
    directory = tmp_path_factory.mktemp("certificates")
    ours, other = (trustme.CA(key_type=trustme.KeyType.ECDSA) for _ in range(2))
    ours.cert_pem.write_to_path(directory / "authority.pem")
    issued = {
        "server": ours.issue_cert(HOST),
        "right": ours.issue_cert("alice"),
        "expired": ours.issue_cert("alice", not_after=YESTERDAY),
        "foreign": other.issue_cert("alice"),
    }
    for name, certificate in issued.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(directory / f"{name}.pem")
        (directory / f"{name}.pem").chmod(0o600)
    return directory


@pytest.fixture(scope="module")
def home(files: Path) -> Iterator[tuple[Program, str]]:
    """A jump server that asks for certificates, and where it listens."""
    shown = ["--certificate-file", str(files / "server.pem")]
    asked = ["--client-ca-file", str(files / "authority.pem"), "--max-auth-failures", "0"]
    door = ["--listen-tls", f"{HOST}:0"]
    with running("netjumper", *door, *shown, *asked, env=ENV) as it:
        yield it, it.address("netjumper with TLS")


def showing(which: str, files: Path, jump: str) -> list[str]:
    """Return what a bridge is given that shows that certificate."""
    own = [] if which == "none" else ["--certificate-file", str(files / f"{which}.pem")]
    return ["--jump", f"netjumper+tls://{jump}", "--ca-file", str(files / "authority.pem"), *own]


@pytest.mark.parametrize("which", WRONG)
def test_server_and_bridge_say_what_is_wrong_with_a_clients_certificate(which, files, home):
    server, jump = home
    at_server, at_client = WRONG[which]
    arguments = showing(which, files, jump)
    with running("netjumper-bridge", "--http", f"{HOST}:0", *arguments, env=ENV) as it:
        it.wait_for(rf"WARNING .*jump host {jump}: {re.escape(at_client)}")
    server.wait_for(f"WARNING .*AuthenticationError: TLS failed: {at_server}")


@pytest.mark.parametrize("which", WRONG)
def test_the_doctor_says_it_too_and_what_to_do(which, files, home, capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    _, jump = home
    assert bridge.main(["doctor", *showing(which, files, jump)]) == 8
    said = " ".join(capsys.readouterr().out.split())
    assert f"JumpHostUntrusted: jump host {jump}: {WRONG[which][1]}" in said
    assert "Give --certificate-file FILE, with one of that authority's" in said


def test_with_the_right_one_the_doctor_comes_in(files, home, capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    _, jump = home
    assert bridge.main(["doctor", *showing("right", files, jump), f"{HOST}:1"]) == 7
    assert "the jump server accepts it" in capsys.readouterr().out
