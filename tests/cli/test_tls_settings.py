"""Settings of TLS: mistakes in them, and files that no connection uses."""

import sys

import pytest

from netjumper.cli import bridge, server
from tests.support.programs import SECRET, installed, run
from tests.support.tls_commands import ENV, HOST

without_psk = pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python has it")


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("netjumper: ").removeprefix("netjumper-bridge: ")


@without_psk
def test_python_without_psk_is_reported_with_an_alternative(secret, capsys):
    assert server.main(["--listen-tls", ":0", "--check"]) == 2
    assert error_of(capsys) == (
        "--listen-tls: TLS by the secret alone needs Python 3.13 or newer; pin a certificate "
        "instead (`netjumper keygen --tls` makes one)\n"
    )
    assert bridge.main(["--jump", "netjumper+tls://home.example.net", "--check"]) == 2
    assert error_of(capsys).startswith(
        "--jump: home.example.net:9527: TLS by the secret alone needs "
    )


def test_certificate_without_a_tls_listener_is_refused(secret, capsys, certificates):
    file = str(certificates / "server.pem")
    assert server.main(["--certificate-file", file, "--check"]) == 2
    assert error_of(capsys) == ("--certificate-file: no listener uses TLS; set listen_tls\n")


def test_client_ca_file_requires_certificate_file(secret, capsys, certificates):
    file = str(certificates / "authority.pem")
    assert server.main(["--listen-tls", ":0", "--client-ca-file", file, "--check"]) == 2
    assert error_of(capsys) == ("--client-ca-file: client_ca_file requires certificate_file\n")


def test_file_that_is_not_a_certificate_is_refused(secret, capsys, certificates):
    (certificates / "server.pin").chmod(0o600)
    file = str(certificates / "server.pin")
    assert server.main(["--listen-tls", ":0", "--certificate-file", file, "--check"]) == 2
    assert error_of(capsys) == (
        f"--certificate-file: {file}: expected a certificate in PEM, followed by its key\n"
    )
    arguments = ["--jump", "netjumper+tls://home.example.net", "--ca-file", file, "--check"]
    assert bridge.main(arguments) == 2
    assert error_of(capsys).startswith(f"--ca-file: {file}: expected a certif")
    arguments[2:4] = ["--ca-file", str(certificates / "authority.pem"), "--certificate-file", file]
    assert bridge.main(arguments) == 2
    assert error_of(capsys).startswith(f"--certificate-file: {file}: expected a certif")


@pytest.mark.usefixtures("secret")
def test_missing_ca_file_is_reported_with_its_setting(capsys, certificates):
    server_pem, missing = str(certificates / "server.pem"), str(certificates / "missing.pem")
    files = ["--certificate-file", server_pem, "--client-ca-file", missing]
    assert server.main(["--listen-tls", ":0", *files, "--check"]) == 2
    assert error_of(capsys) == f"--client-ca-file: {missing}: No such file or directory\n"


UNUSED_FILE_MESSAGES = {
    "ca_file": (
        "no jump host is verified with this CA; write netjumper+tls://HOST without pin and ca"
    ),
    "certificate_file": (
        "no jump host gets this certificate; write netjumper+tls://HOST with pin or ca=system, "
        "or set ca_file"
    ),
}


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("127.0.0.1:7731", "ca_file"),
        ("127.0.0.1:7731", "certificate_file"),
        ("netjumper+tls://h?pin=" + "0" * 64, "ca_file"),
        ("netjumper+tls://h?ca=system", "ca_file"),
        ("netjumper+tls://h", "certificate_file"),
    ],
)
@pytest.mark.usefixtures("secret")
def test_tls_file_that_no_jump_host_uses_is_refused(capsys, certificates, url, key):
    file = certificates / {"ca_file": "authority.pem", "certificate_file": "client.pem"}[key]
    flag = f"--{key.replace('_', '-')}"
    assert bridge.main(["--jump", url, flag, str(file), "--check"]) == 2
    assert error_of(capsys) == f"{flag}: {UNUSED_FILE_MESSAGES[key]}\n"


@pytest.mark.parametrize(
    ("urls", "keys"),
    [
        (["netjumper+tls://h?pin=" + "0" * 64], ["certificate_file"]),
        (["netjumper+tls://h?ca=system"], ["certificate_file"]),
        (["netjumper+tls://h"], ["ca_file", "certificate_file"]),
        (["netjumper+tls://h", "netjumper+tls://i?ca=system"], ["ca_file"]),
    ],
)
@pytest.mark.usefixtures("secret")
def test_tls_file_that_one_jump_host_uses_is_accepted(capsys, certificates, urls, keys):
    names = {"ca_file": "authority.pem", "certificate_file": "client.pem"}
    jump = [word for url in urls for word in ("--jump", url)]
    files = [
        word for it in keys for word in (f"--{it.replace('_', '-')}", str(certificates / names[it]))
    ]
    assert bridge.main([*jump, *files, "--check"]) == 0
    assert error_of(capsys) == ""


@pytest.mark.parametrize("other", [["--jump", "h:1"], ["--embedded"]])
@pytest.mark.usefixtures("secret")
def test_unused_ca_file_of_the_settings_file_is_accepted(capsys, certificates, private, other):
    settings = '[bridge]\njump = ["netjumper+tls://h"]\nca_file = "authority.pem"\n'
    config = ["--config", str(private("config.toml", settings))]
    assert bridge.main([*config, *other, "--check"]) == 0
    assert bridge.main([*config, *other, "--ca-file", "authority.pem", "--check"]) == 2


def test_unencrypted_jump_host_beside_a_tls_one_causes_a_warning():
    jump = ["--jump", "netjumper+tls://h?ca=system", "--jump", "192.0.2.1:9527"]
    done = run([installed("netjumper-bridge"), *jump, "--check"], ENV)
    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == 0
    assert (
        "WARNING requests to jump host 192.0.2.1:9527 are unencrypted, although others have TLS"
        in line
    )
    only = run([installed("netjumper-bridge"), *jump[2:], "--check"], ENV)
    assert (only.returncode, only.stderr) == (0, b"")


@pytest.mark.parametrize("side", ["netjumper", "netjumper-bridge"])
def test_key_that_others_can_read_is_refused(certificates, capsys, side, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    file = certificates / "server.pem"
    file.chmod(0o644)
    more = ["--listen-tls", f"{HOST}:0"] if side == "netjumper" else ["--jump", "192.0.2.1:1"]
    command = server if side == "netjumper" else bridge
    assert command.main(["--certificate-file", str(file), *more, "--check"]) == 2
    message = (
        f"{side}: --certificate-file: others can read the secret in {file}; type: chmod 600 {file}"
    )
    assert capsys.readouterr().err.strip() == message


def split(file):
    """Split a file with key and certificate in two, as certbot writes them; return both."""
    key, begin, rest = file.read_text().partition("-----BEGIN CERTIFICATE-----")
    chain, own = file.with_name("fullchain.pem"), file.with_name("privkey.pem")
    chain.write_text(begin + rest)
    own.write_text(key)
    chain.chmod(0o644)
    own.chmod(0o600)
    return chain, own


@pytest.mark.parametrize("side", ["netjumper", "netjumper-bridge"])
@pytest.mark.usefixtures("secret")
def test_key_in_a_file_of_its_own_is_accepted_and_must_be_private(certificates, capsys, side):
    chain, key = split(certificates / "server.pem")
    tls = (
        ["--listen-tls", f"{HOST}:0"]
        if side == "netjumper"
        else ["--jump", "netjumper+tls://h?ca=system"]
    )
    command = server if side == "netjumper" else bridge
    arguments = [*tls, "--certificate-file", str(chain), "--key-file", str(key), "--check"]
    assert command.main(arguments) == 0
    key.chmod(0o644)
    capsys.readouterr()
    assert command.main(arguments) == 2
    message = f"{side}: --key-file: others can read the secret in {key}; type: chmod 600 {key}"
    assert capsys.readouterr().err.strip() == message


@pytest.mark.usefixtures("secret")
def test_wrong_key_files_are_reported_in_one_line(certificates, capsys):
    chain, key = split(certificates / "server.pem")
    tls = ["--listen-tls", f"{HOST}:0"]
    other = certificates / "client.pem"

    def refusal(*files):
        assert server.main([*tls, *map(str, files), "--check"]) == 2
        return capsys.readouterr().err.strip()

    assert refusal("--key-file", key) == "netjumper: --key-file: key_file requires certificate_file"
    assert refusal("--certificate-file", chain, "--key-file", other) == (
        f"netjumper: --certificate-file: {chain} with {other}: "
        "the certificate and the key do not belong together"
    )
    chain.chmod(0o600)
    expected = "expected a certificate in PEM, followed by its key"
    message = f"netjumper: --certificate-file: {chain}: {expected}"
    assert refusal("--certificate-file", chain, "--key-file", chain) == message
    missing = certificates / "missing.pem"
    assert refusal("--certificate-file", chain, "--key-file", missing) == (
        f"netjumper: --certificate-file: {chain} with {missing}: No such file or directory"
    )


@pytest.mark.parametrize("name", ["x" * 300, "none.pem"])
def test_missing_certificate_file_is_reported_in_one_line(monkeypatch, capsys, tmp_path, name):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    file = tmp_path / name
    arguments = ["--listen-tls", ":0", "--certificate-file", str(file), "--check"]
    assert server.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"netjumper: --certificate-file: {file}: ")
    assert "name too long" in line or "No such file" in line


@pytest.mark.parametrize("side", ["netjumper", "netjumper-bridge"])
def test_directory_instead_of_a_certificate_is_refused(secret, capsys, tmp_path, side):
    tls = (
        ["--listen-tls", ":0"] if side == "netjumper" else ["--jump", "netjumper+tls://h?ca=system"]
    )
    command = server if side == "netjumper" else bridge
    assert command.main([*tls, "--certificate-file", str(tmp_path), "--check"]) == 2
    assert error_of(capsys) == (
        f"--certificate-file: {tmp_path} is a directory; expected a file in PEM\n"
    )
