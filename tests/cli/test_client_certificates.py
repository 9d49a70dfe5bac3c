"""A jump server that requires client certificates: each side reports what is wrong with one."""

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

ERRORS = {
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
"""The errors at the server and at the client, by the client's certificate."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the certificates of a server, of clients and of their CA."""
    directory = tmp_path_factory.mktemp("certificates")
    ca, other_ca = (trustme.CA(key_type=trustme.KeyType.ECDSA) for _ in range(2))
    ca.cert_pem.write_to_path(directory / "authority.pem")
    issued = {
        "server": ca.issue_cert(HOST),
        "right": ca.issue_cert("alice"),
        "expired": ca.issue_cert("alice", not_after=YESTERDAY),
        "foreign": other_ca.issue_cert("alice"),
    }
    for name, certificate in issued.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(directory / f"{name}.pem")
        (directory / f"{name}.pem").chmod(0o600)
    return directory


@pytest.fixture(scope="module")
def jump_server(directory: Path) -> Iterator[tuple[Program, str]]:
    """Run a jump server that requires client certificates; yields it and its address."""
    own = ["--certificate-file", str(directory / "server.pem")]
    client_ca = ["--client-ca-file", str(directory / "authority.pem")]
    listener = ["--listen-tls", f"{HOST}:0", "--max-auth-failures", "0"]
    with running("netjumper", *listener, *own, *client_ca, env=ENV) as it:
        yield it, it.address("netjumper with TLS")


def bridge_arguments(certificate: str, directory: Path, jump: str) -> list[str]:
    """Return the arguments of a bridge with that certificate."""
    arguments = ["--jump", f"netjumper+tls://{jump}", "--ca-file", str(directory / "authority.pem")]
    if certificate != "none":
        arguments += ["--certificate-file", str(directory / f"{certificate}.pem")]
    return arguments


@pytest.mark.parametrize("certificate", ERRORS)
def test_server_and_bridge_report_what_is_wrong_with_a_certificate(
    certificate, directory, jump_server
):
    server, jump = jump_server
    server_error, bridge_error = ERRORS[certificate]
    arguments = bridge_arguments(certificate, directory, jump)
    with running("netjumper-bridge", "--http", f"{HOST}:0", *arguments, env=ENV) as it:
        it.wait_for(rf"WARNING .*jump host {jump}: {re.escape(bridge_error)}")
    server.wait_for(f"WARNING .*AuthenticationError: TLS failed: {server_error}")


@pytest.mark.parametrize("certificate", ERRORS)
def test_doctor_reports_a_bad_certificate_with_advice(
    certificate, directory, jump_server, capsys, monkeypatch
):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    _, jump = jump_server
    assert bridge.main(["doctor", *bridge_arguments(certificate, directory, jump)]) == 8
    output = " ".join(capsys.readouterr().out.split())
    assert f"JumpHostUntrusted: jump host {jump}: {ERRORS[certificate][1]}" in output
    assert "Set --certificate-file FILE to a PEM file" in output


def test_doctor_is_accepted_with_a_valid_certificate(directory, jump_server, capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    _, jump = jump_server
    assert bridge.main(["doctor", *bridge_arguments("right", directory, jump), f"{HOST}:1"]) == 7
    assert "the jump server accepts it" in capsys.readouterr().out
