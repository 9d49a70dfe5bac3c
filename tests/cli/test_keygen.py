"""`netjumper keygen`: a secret, or a certificate and its pin."""

import asyncio
import os
import sys

import pytest

from netjumper.cli import server
from netjumper.tls.context import client_with_pins, server_with_certificate
from tests.support import programs
from tests.support.commands import run
from tests.support.tls_pair import exchange


def test_keygen_prints_a_new_secret_of_256_bits():
    results = [run("netjumper", "keygen") for _ in range(2)]
    for code, out, lines in results:
        assert (code, lines) == (0, [])
        assert len(bytes.fromhex(out)) == 32
    assert results[0] != results[1]


def test_generated_secret_is_accepted(private):
    _, secret, _ = run("netjumper", "keygen")
    path = private("secret", secret)
    assert run("netjumper", "--secret-file", str(path), "--check")[0] == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_secret_that_cannot_be_printed_is_a_failure():
    command = f"exec {programs.installed('netjumper')} keygen >/dev/full"
    done = programs.run(["sh", "-c", command])
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_certificate_file_is_private_and_its_pin_is_printed(tmp_path):
    path = tmp_path / "server.pem"
    code, pin, lines = run("netjumper", "keygen", "--tls", str(path))
    assert (code, lines) == (0, [])
    assert path.stat().st_mode & 0o777 == 0o600
    client, server = client_with_pins([bytes.fromhex(pin)]), server_with_certificate(path)
    assert asyncio.run(exchange(client, server)) == (b"challenge", b"answer")


def test_secret_file_is_private_and_accepted(tmp_path):
    path = tmp_path / "secret"
    assert run("netjumper", "keygen", "--out", str(path)) == (0, "", [])
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(path.read_text())) == 32
    assert run("netjumper", "--secret-file", str(path), "--check")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "/nowhere/secret"], "--out: /nowhere/secret: No such file or directory"),
        (["--out", "a", "--tls", "b"], "--out: is for a secret; --tls names its own file"),
        (
            ["secret"],
            "keygen takes --out FILE, --tls FILE or nothing (see netjumper keygen --help)",
        ),
    ],
)
def test_wrong_use_of_keygen_is_refused(arguments, message):
    assert run("netjumper", "keygen", *arguments) == (2, "", [f"netjumper: {message}"])


def test_existing_secret_file_is_kept(private):
    path = private("secret", "precious")
    message = f"netjumper: --out: {path} exists already; give the name of a new file"
    assert run("netjumper", "keygen", "--out", str(path)) == (2, "", [message])
    assert path.read_text() == "precious"


def test_existing_key_file_is_kept(private, capsys):
    path = private("server.pem", "precious")
    assert server.main(["keygen", "--tls", str(path)]) == 2
    assert path.read_text() == "precious"
    assert capsys.readouterr().err == (
        f"netjumper: --tls: {path} exists already; give the name of a new file\n"
    )
    assert server.main(["keygen", "--tls", "/nowhere/server.pem"]) == 2
    assert capsys.readouterr().err == (
        "netjumper: --tls: /nowhere/server.pem: No such file or directory\n"
    )


def test_missing_tls_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert server.main(["keygen", "--tls", str(tmp_path / "server.pem")]) == 2
    assert "install netjumper[tls]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["keygen", "s3cret-of-18-bytes"], ["keygen", "--check"]])
def test_keygen_refuses_other_arguments(words, capsys):
    assert server.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("netjumper: keygen takes --out FILE, --tls FILE or nothing")
    assert err.count("\n") == 1
    assert "s3cret" not in err
